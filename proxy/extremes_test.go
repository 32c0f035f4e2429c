package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestPipelinesOfAnyLength: as many answers come as were asked for, in order,
// however much is sent before the first of them is read. The pipeline has more
// messages than the proxy remembers at a time.
func TestPipelinesOfAnyLength(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	for name, c := range map[string]struct {
		each   string // the messages repeated
		times  int
		answer byte // counted
		wanted int
	}{
		"queries":                {`Query "SELECT 1"`, 10_000, 'Z', 10_000},
		"segments":               {`Parse "" "SELECT 1"|Bind "" ""|Execute ""|Sync`, 10_000, 'Z', 10_000},
		"a segment without end":  {`Parse "" "SELECT 1"|Bind "" ""|Execute ""|Close P ""`, maxOwed / 3, 'C', maxOwed / 3},
		"errors in all segments": {`Parse "" "SELEC"|Bind "" ""|Execute ""|Sync|Sync`, 5_000, 'Z', 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			conn, reader := loggedIn(t, r.addr, db)
			var one []byte
			for m := range strings.SplitSeq(c.each, "|") {
				b, err := scriptMessage(m)
				if err != nil {
					t.Fatal(err)
				}
				one = append(one, b...)
			}
			said := append(bytes.Repeat(one, c.times), "S\x00\x00\x00\x04X\x00\x00\x00\x04"...)
			go conn.Write(said)
			got, last := countAnswers(t, reader, c.answer)
			wanted := c.wanted
			if c.answer == 'Z' {
				wanted++
			}
			if got != wanted || last != 'Z' {
				t.Errorf("%d answers of type %c, want %d; the last was %c", got, c.answer, wanted, last)
			}
		})
	}
}

// countAnswers reads until the connection ends.
func countAnswers(t *testing.T, r *bufio.Reader, typ byte) (n int, last byte) {
	t.Helper()
	for {
		frame, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			return n, last
		}
		if err != nil {
			t.Fatal(err)
		}
		if last = frame[0]; last == typ {
			n++
		}
	}
}

// TestBindsOfAllKinds: formats given once, for each value or not at all, values
// of NULL and of nothing, and as many of them as a message can have.
func TestBindsOfAllKinds(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, allowAll, nil)
	bind := func(formats []int16, values ...[]byte) string {
		b := appendFrame(nil, 'B', func(b []byte) []byte {
			b = append(b, 0, 0)
			b = binary.BigEndian.AppendUint16(b, uint16(len(formats)))
			for _, f := range formats {
				b = binary.BigEndian.AppendUint16(b, uint16(f))
			}
			b = binary.BigEndian.AppendUint16(b, uint16(len(values)))
			for _, v := range values {
				if v == nil {
					b = append(b, 0xff, 0xff, 0xff, 0xff)
					continue
				}
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			}
			return append(b, 0, 1, 0, 1) // the result in binary
		})
		return fmt.Sprintf("-> Bytes %q", b)
	}
	three, most := "SELECT $1::text, $2::int4, $3::bytea", make([]string, 65_535)
	values := make([][]byte, len(most))
	for i := range most {
		most[i], values[i] = fmt.Sprintf("$%d::text", i+1), []byte{byte('a' + i%26)}
	}
	values[7] = nil
	var lines []string
	for _, c := range []struct{ sql, bind string }{
		{three, bind(nil, []byte("x"), []byte("-7"), []byte(`\x00ff`))},
		{three, bind([]int16{1}, []byte("x"), []byte{0, 0, 0, 7}, []byte{0, 255})},
		{three, bind([]int16{0, 1, 1}, []byte(""), nil, []byte{})},
		{three, bind([]int16{0, 1}, []byte("x"), nil, nil)},
		{three, bind([]int16{2}, []byte("x"), nil, nil)},
		{three, bind(nil, nil, nil, nil)},
		{three, bind(nil, []byte("\xff\xfe"), nil, nil)},
		{"SELECT length(concat(" + strings.Join(most, ",") + "))", bind(nil, values...)},
		{"SELECT length(ARRAY[" + strings.Join(most, ",") + "]::text)", bind(nil, values...)},
	} {
		lines = append(lines, fmt.Sprintf("-> Parse %q %q", "", c.sql), "-> Describe S \"\"", c.bind, `-> Execute ""`, "-> Sync", "until ReadyForQuery")
	}
	direct := converse(t, cluster.Addr(), inventory(t, cluster), lines)
	through := converse(t, r.addr, inventory(t, cluster), lines)
	if direct != through {
		t.Errorf("directly:\n%.2000s\nthrough the proxy:\n%.2000s", direct, through)
	}
}

// TestManyNames: a session may define as many statements as it likes, and each
// is still judged as what it is.
func TestManyNames(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, func(c *Config) { c.MaxWait = 0 })
	conn, reader := loggedIn(t, r.addr, db)
	var said []byte
	for i := range 50_000 {
		text := "SELECT 1"
		if i == 123 {
			text = "DELETE FROM accounts"
		}
		b, err := scriptMessage(fmt.Sprintf("Parse \"n%d\" %q", i, text))
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, b...)
	}
	for _, m := range []string{"Sync", `Bind "" "n124"`, `Execute ""`, "Sync", `Bind "" "n123"`, `Execute ""`, "Sync", "Terminate"} {
		b, err := scriptMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, b...)
	}
	go conn.Write(said)
	defined := 0
	var rest []string
	for {
		frame, err := readFrame(reader)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if frame[0] == '1' {
			defined++
			continue
		}
		rest = append(rest, rendered(frame, true))
	}
	got := strings.Join(rest, "\n")
	if defined != 50_000 || !strings.Contains(got, "DataRow \"1\"") || !strings.Contains(got, "ErrorResponse 42501") {
		t.Errorf("%d statements were defined\n%s", defined, got)
	}
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "100" {
		t.Errorf("%s rows are left", n)
	}
}
