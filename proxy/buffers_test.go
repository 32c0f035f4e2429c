package proxy

import "testing"

// TestBuffersFollowTheTraffic: what a session reads into grows with what the client
// has sent, and an idle session keeps no more than clientBuffer, whatever it did.
func TestBuffersFollowTheTraffic(t *testing.T) {
	s := &stage{in: make([]byte, clientBuffer)}
	read := func(n int) { s.w += min(n, len(s.in)-s.w) }
	want := func(size int, lent bool, what string) {
		t.Helper()
		if s.makeRoom(); len(s.in) != size || (s.lent != nil) != lent {
			t.Errorf("%s: %d bytes, lent %t; want %d, %t", what, len(s.in), s.lent != nil, size, lent)
		}
	}
	read(clientBuffer)
	s.r = s.w
	want(clientBuffer, false, "small messages that fill the buffer")
	read(clientBuffer)
	want(copyBuffer, false, "part of a message that fills it")
	read(copyBuffer)
	want(2*copyBuffer, false, "and more of it")
	s.r = s.w
	s.out = make([]byte, 0, copyBuffer)
	want(clientBuffer, false, "the end of the message")
	if s.out != nil {
		t.Error("the idle session keeps what it has sent")
	}
	s.bulk = true
	read(clientBuffer)
	s.r = s.w - 10
	want(bulkBuffer, true, "COPY data that fills it")
	if s.w != 10 {
		t.Errorf("%d bytes left of the data, want 10", s.w)
	}
	read(100)
	s.r = s.w
	want(bulkBuffer, true, "COPY data that does not")
	read(bulkBuffer)
	want(2*bulkBuffer, false, "a message that is longer")
	s.r = s.w
	want(2*bulkBuffer, false, "more COPY data")
	s.bulk = false
	want(clientBuffer, false, "the end of the data")
}
