package policy

// Names lists the relations and functions that the catalogue could say more
// about: none for a plain read.
func (f *Facts) Names() []Name {
	if f.ReadOnly() {
		return nil
	}
	var all []Name
	for i := range f.Actions {
		for _, t := range f.Actions[i].Tables {
			if t.Name != "" {
				all = append(all, Name{Schema: t.Schema, Name: t.Name, Kind: NameRelation})
			}
		}
	}
	return all
}

// Refine gives the facts with what the catalogue adds to them. It makes a
// statement milder only where the catalogue proves it.
func (r *Reader) Refine(f *Facts, _ *Catalog) *Facts { return f }
