package approval_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
)

func need(group string, count int) approval.Need { return approval.Need{Group: group, Count: count} }

// Each line is one request and who may decide it.
func TestWhoMayDecide(t *testing.T) {
	dba, both := []approval.Need{need("dba", 1)}, []approval.Need{need("dba", 1), need("owners", 1)}
	for _, c := range []struct {
		claim   string
		login   string
		quorum  []approval.Need
		person  string
		reason  string
		refusal string // "" for none
	}{
		{"a member of the group may", "alice", dba, "bob", "fine", ""},
		{"the requester may not", "carol", dba, "carol", "fine", "which is yours"},
		{"an administrator has no exemption", "postgres", dba, "admin", "fine", "which is yours"},
		{"who shares the login may not, whoever typed it", "app", dba, "bob", "fine", "which is yours"},
		{"another member may", "app", dba, "carol", "fine", ""},
		{"who is in no needed group may not", "alice", dba, "dave", "fine", "in none of these groups"},
		{"the second group counts", "alice", both, "dave", "fine", ""},
		{"names are compared exactly", "alice", dba, "Bob", "fine", "not among the people"},
		{"also without looking at spaces", "alice", dba, "bob ", "fine", "not among the people"},
		{"nobody may", "alice", dba, "", "fine", "not among the people"},
		{"a login is not a person", "alice", dba, "postgres", "fine", "not among the people"},
		{"not without a reason", "alice", dba, "bob", "", "say why"},
		{"blanks are no reason", "alice", dba, "bob", " \t\n", "say why"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			for verb, decide := range map[string]func(*approval.Service, int64) (approval.Request, error){
				"approve": func(s *approval.Service, id int64) (approval.Request, error) {
					return s.Approve(t.Context(), id, c.person, "psql", c.reason)
				},
				"deny": func(s *approval.Service, id int64) (approval.Request, error) {
					return s.Deny(t.Context(), id, c.person, "psql", c.reason)
				},
			} {
				o := newOffice(t)
				ask := aliceDeletes()
				ask.Login, ask.Quorum = c.login, c.quorum
				w := o.open(ask)
				r, err := decide(o.Service, w.Request().ID)
				if c.refusal == "" {
					if err != nil || len(r.Decisions) != 1 {
						t.Errorf("%s: %v", verb, err)
					}
					continue
				}
				var refusal *approval.Refusal
				if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, c.refusal) {
					t.Errorf("%s was answered with %v, want a refusal: %s", verb, err, c.refusal)
				}
				if strings.Contains(err.Error(), "DELETE") {
					t.Errorf("the refusal quotes the statement: %v", err)
				}
				o.want(w.Request().ID, approval.Pending)
				if e := o.recorder.last(); e.Kind != approval.KindRefused || e.Person != c.person {
					t.Errorf("the attempt is not on record: %+v", e)
				}
			}
		})
	}
}

func TestLoginOfNobodyGetsNoRequest(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Login = "deploy"
	_, err := o.Open(t.Context(), ask)
	if !errors.Is(err, approval.ErrNobody) || !strings.Contains(err.Error(), `"deploy" belongs to no person`) || !strings.Contains(err.Error(), "under people") {
		t.Errorf("it was answered with %v", err)
	}
	if all, err := o.List(t.Context(), approval.Filter{}); err != nil || len(all) != 0 {
		t.Errorf("there are requests: %v, %v", all, err)
	}
}

func TestQuorumThatCannotBeMetWithoutTheRequesterGetsNoRequest(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Login, ask.Quorum = "app", []approval.Need{need("dba", 3)} // bob, carol and admin, and app may be bob
	_, err := o.Open(t.Context(), ask)
	if !errors.Is(err, approval.ErrNobody) || !strings.Contains(err.Error(), "without alice, bob") || !strings.Contains(err.Error(), "3 of dba") {
		t.Errorf("it was answered with %v", err)
	}
}

func TestQuorumIsTheAndOfItsGroups(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Quorum = []approval.Need{need("dba", 1), need("owners", 1)}
	w := o.open(ask)
	if r := o.approve(1, "carol"); r.State != approval.Pending || isSettled(w) {
		t.Errorf("carol alone made it %s", r.State)
	}
	if _, err := o.Approve(t.Context(), 1, "carol", "cli", "once more"); err == nil || !strings.Contains(err.Error(), "one person counts once") {
		t.Errorf("carol counted twice: %v", err)
	}
	if _, err := o.Deny(t.Context(), 1, "carol", "cli", "I was wrong"); err == nil {
		t.Error("carol decided twice")
	}
	if r := o.approve(1, "bob"); r.State != approval.Approved || !isSettled(w) {
		t.Errorf("carol and bob made it %s", r.State)
	}
}

func TestOneDenyEndsIt(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Quorum = []approval.Need{need("dba", 2)}
	w := o.open(ask)
	o.approve(1, "bob")
	r, err := o.Deny(t.Context(), 1, "carol", "console", "wrong table")
	if err != nil || r.State != approval.Denied || r.Outcome != "denied by carol" {
		t.Fatalf("%+v, %v", r, err)
	}
	if !isSettled(w) {
		t.Error("the one who waits was not told")
	}
	o.notApproved(w, approval.Denied)
	if _, err := o.Approve(t.Context(), 1, "admin", "psql", "but I want it"); err == nil || !strings.Contains(err.Error(), "denied already") {
		t.Errorf("a denied request was approved: %v", err)
	}
	if e := o.recorder.events[2]; e.Kind != approval.KindDenied || e.Person != "carol" || e.Detail != "console: wrong table" {
		t.Errorf("on record is %+v", e)
	}
}

func TestUnknownRequestIsAnsweredInWords(t *testing.T) {
	o := newOffice(t)
	_, get := o.Get(t.Context(), 7)
	_, approve := o.Approve(t.Context(), 7, "bob", "psql", "fine")
	_, cancel := o.Cancel(t.Context(), -1, "alice")
	for name, err := range map[string]error{"show": get, "approve": approve, "cancel": cancel} {
		var refusal *approval.Refusal
		if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Reason, "there is no request") {
			t.Errorf("%s was answered with %v", name, err)
		}
	}
}

func TestOnlyTheRequesterCancels(t *testing.T) {
	o := newOffice(t)
	w := o.open(aliceDeletes())
	if _, err := o.Cancel(t.Context(), 1, "carol"); err == nil || !strings.Contains(err.Error(), "deny it instead") {
		t.Errorf("carol cancelled alice's request: %v", err)
	}
	if _, err := o.Cancel(t.Context(), 1, "nobody"); err == nil {
		t.Error("somebody unknown cancelled it")
	}
	o.approve(1, "bob")
	r, err := o.Cancel(t.Context(), 1, "alice") // also when it was approved
	if err != nil || r.State != approval.Cancelled || r.CancelledBy != "alice" {
		t.Errorf("%+v, %v", r, err)
	}
	o.notApproved(w, approval.Cancelled)
	if _, err := o.Cancel(t.Context(), 1, "alice"); err == nil || !strings.Contains(err.Error(), "cancelled already") {
		t.Errorf("it was cancelled twice: %v", err)
	}
}

// Bob approves what the login app asked for, while app is alice's; then app is
// given to bob too. His approval would be his own by now.
func TestApprovalDoesNotCountOnceTheApproverMayBeTheRequester(t *testing.T) {
	aliceOnly := approval.NewPeople([]approval.Person{
		{Name: "alice", Logins: []string{"app"}}, {Name: "bob", Groups: []string{"dba"}, Logins: []string{"bob"}}, {Name: "carol", Groups: []string{"dba"}},
	}, nil)
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Login, ask.Mode = "app", approval.Ticket

	o.SetPeople(aliceOnly)
	waiting := o.open(ask)
	o.approve(1, "bob")
	o.SetPeople(staff) // app is shared by alice and bob
	again := o.open(ask)
	if again.Request().ID == 1 {
		t.Error("the old approval was found by somebody who may have given it")
	}
	o.notApproved(waiting, approval.Cancelled)
	if e := o.recorder.last(); e.Kind != approval.KindCancelled || !strings.Contains(e.Detail, "people have changed") {
		t.Errorf("on record is %+v", e)
	}

	// The same while it is pending: the login becomes bob's too, or was his.
	o.SetPeople(aliceOnly)
	other := ask
	other.Statement = "DROP TABLE orders"
	hers := o.open(other).Request().ID
	o.SetPeople(staff)
	if _, err := o.Approve(t.Context(), hers, "bob", "psql", "fine"); err == nil {
		t.Error("bob approved what his login asked for")
	}
	if _, err := o.Approve(t.Context(), again.Request().ID, "bob", "psql", "fine"); err == nil {
		t.Error("bob approved what he may have asked for")
	}
	o.SetPeople(aliceOnly)
	if _, err := o.Approve(t.Context(), again.Request().ID, "bob", "psql", "fine"); err == nil {
		t.Error("bob approved what he may have asked for at the time")
	}
	o.approve(again.Request().ID, "carol")
}

func TestApprovalDoesNotCountOnceTheApproverHasLeftTheGroup(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Quorum = []approval.Need{need("dba", 2)}
	w := o.open(ask)
	o.approve(1, "bob")
	o.SetPeople(approval.NewPeople([]approval.Person{
		{Name: "alice", Logins: []string{"alice"}}, {Name: "bob"}, {Name: "carol", Groups: []string{"dba"}}, {Name: "eve", Groups: []string{"dba"}},
	}, nil))
	if r := o.approve(1, "carol"); r.State != approval.Pending {
		t.Errorf("bob, who is no dba any more, and carol made it %s", r.State)
	}
	if r := o.approve(1, "eve"); r.State != approval.Approved {
		t.Errorf("carol and eve left it %s", r.State)
	}
	o.SetPeople(staff) // eve is gone, bob counts again
	o.use(w)
}

func TestEligibleNamesWhoCouldApprove(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Login = "app" // alice's and bob's
	if got := o.Eligible(o.open(ask).Request()); !slices.Equal(got, []string{"admin", "carol"}) {
		t.Errorf("these could approve: %v", got)
	}
	if o.Window() != 15*time.Minute {
		t.Errorf("a grant may be used for %s", o.Window())
	}
}
