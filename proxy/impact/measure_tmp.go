package impact

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
)

type Measurement struct {
	Tables     []Table `json:"tables"`
	Unmeasured []string
}
type Table struct {
	OID                        uint32
	Schema, Name, Kind         string
	Temporary                  bool
	Inserted, Updated, Deleted int64
	Exclusive, Created         bool
	Rows                       float64
}

//go:embed measure.sql
var MeasureSQL string

func DecodeMeasurement(b []byte) (*Measurement, error) {
	t, err := hex.DecodeString(string(b))
	if err != nil {
		return nil, err
	}
	m := &Measurement{}
	return m, json.Unmarshal(t, m)
}
