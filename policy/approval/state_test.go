package approval

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	allStates = []State{Pending, Approved, Denied, Expired, Cancelled, Used, Done, Failed, OutcomeUnknown}
	allKinds  = slices.Sorted(maps.Keys(ofRequests))
)

func TestEveryPairOfStateAndEventIsAsAgreed(t *testing.T) {
	agreed := map[string]State{
		"pending approval":     Pending,
		"pending ticket":       Pending,
		"pending approved":     Approved,
		"pending denied":       Denied,
		"pending expired":      Expired,
		"pending cancelled":    Cancelled,
		"approved ticket":      Approved,
		"approved used":        Used,
		"approved expired":     Expired,
		"approved cancelled":   Cancelled,
		"used done":            Done,
		"used failed":          Failed,
		"used outcome_unknown": OutcomeUnknown,
	}
	tried := 0
	for _, s := range append(allStates, "", "no such state") {
		for _, kind := range append(allKinds, "", "no such event", KindBlocked) {
			want, possible := agreed[fmt.Sprintf("%s %s", s, kind)]
			if got, ok := next(s, kind); ok != possible || got != want {
				t.Errorf("%q in state %q leads to %q, %v; agreed is %q, %v", kind, s, got, ok, want, possible)
			}
			tried++
		}
	}
	if want := (len(allStates) + 2) * (len(allKinds) + 3); tried != want {
		t.Errorf("%d pairs were tried, want %d", tried, want)
	}
}

// The diagram above the states in request.go is what people read, so it must be
// what the table says.
func TestTheDiagramIsTheTable(t *testing.T) {
	source, err := os.ReadFile("request.go")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) +-> (.+)$`).FindAllStringSubmatch(string(source), -1) {
		got[m[1]] = strings.Split(m[2], " | ")
		slices.Sort(got[m[1]])
	}
	want := map[string][]string{}
	for from, byKind := range transitions {
		for _, to := range byKind {
			if to != from && !slices.Contains(want[string(from)], string(to)) {
				want[string(from)] = append(want[string(from)], string(to))
			}
		}
		slices.Sort(want[string(from)])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the comment of request.go draws %v\nand the table is               %v", got, want)
	}
}

func TestNothingLeavesAFinalState(t *testing.T) {
	for _, s := range []State{Denied, Expired, Cancelled, Done, Failed, OutcomeUnknown} {
		if len(transitions[s]) != 0 {
			t.Errorf("%s can be left by %v", s, transitions[s])
		}
	}
}
