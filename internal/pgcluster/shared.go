package pgcluster

import (
	"context"
	"sync"
)

// TB is what Shared and NewDatabase need of a testing.TB. The demo links this
// package too, and a product should not link package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

var shared struct {
	sync.Mutex
	cluster *Cluster
	err     error // once it failed, each test says so without trying again
}

// Shared is the one cluster that the tests of a package use together, started
// when the first of them asks. PREPARE TRANSACTION works there, which the server does
// not let it by default. The package's TestMain must be Main.
func Shared(t TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = Start(context.Background(), Options{Settings: map[string]string{"max_prepared_transactions": "4"}})
	}
	if shared.err != nil {
		t.Fatalf("start the tests' PostgreSQL: %v", shared.err)
	}
	return shared.cluster
}

// Main runs a package's tests and then stops what Shared started:
//
//	func TestMain(m *testing.M) { pgcluster.Main(m) }
func Main(m interface{ Run() int }) {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.cluster == nil {
			return
		}
		if err := shared.cluster.Stop(); err != nil {
			panic(err)
		}
	}()
	m.Run() // since Go 1.15 the test binary exits with its result by itself
}

// NewDatabase makes an empty database for one test and drops it afterwards,
// whoever is still connected.
func (c *Cluster) NewDatabase(t TB) string {
	t.Helper()
	name := "test_" + randomName()
	if _, err := c.Psql(context.Background(), "-c", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		if _, err := c.Psql(context.Background(), "-c", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Fatalf("drop a database: %v", err)
		}
	})
	return name
}
