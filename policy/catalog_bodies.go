package policy

import (
	"slices"
	"sync"
)

// bodies are those of functions and rules that have been read already. What they
// hold is not changed once read.
type bodies struct {
	mu   sync.Mutex
	read map[bodyKey]*body
}

type bodyKey struct {
	function uint32
	source   string
}

// read gives what is made of a source, made once.
func (c *Catalog) read(function uint32, source string, from func() *body) *body {
	if c.bodies == nil {
		return from()
	}
	key := bodyKey{function, source}
	c.bodies.mu.Lock()
	defer c.bodies.mu.Unlock()
	b := c.bodies.read[key]
	if b == nil {
		if b = from(); c.bodies.read == nil {
			c.bodies.read = make(map[bodyKey]*body)
		}
		c.bodies.read[key] = b
	}
	return b
}

// maxRounds is how often the catalogue is asked about one message: what functions
// and triggers do is seen in their bodies, and names others.
const maxRounds = 3

// Ask asks the catalogue about the names of the statements and, as far as that
// shows bodies of functions, triggers and rules, about the names in those. It gives
// the last answer, with what ask failed with if it did; nil if there is none.
func (r *Reader) Ask(alternatives [][]*Facts, ask func([]Name) (*Catalog, error)) (*Catalog, error) {
	var names []Name
	for _, facts := range alternatives {
		for _, f := range facts {
			names = append(names, f.Names()...)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	c, err := ask(names)
	for round := 1; err == nil && round < maxRounds; round++ {
		known := len(names)
		for _, facts := range alternatives {
			for _, f := range r.RefineAll(facts, c) {
				for _, n := range f.wants {
					if !slices.Contains(names, n) && len(names) < known+maxNames {
						names = append(names, n)
					}
				}
			}
		}
		if len(names) == known {
			break
		}
		var more *Catalog
		if more, err = ask(names); err == nil {
			c = more
		}
	}
	return c, err
}
