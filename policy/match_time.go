package policy

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the zones of a policy must be known in an image without /usr/share/zoneinfo, too
)

// timeCondition is `time: {days: [sat, sun], from: "18:00", to: "06:00", zone:
// Europe/Berlin}`. A span past midnight belongs to the day on which it began.
type timeCondition struct {
	days     [7]bool // by time.Weekday; all true where the file names none
	from, to int     // minutes since midnight; to is exclusive, 24*60 the end of the day
	zone     *time.Location
	zoneName string
}

// weekdays are the words for the days, by time.Weekday.
var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (c *timeCondition) met(s *Session, _ *Facts, _ *Action) truth {
	if s.Now.IsZero() {
		return cannotTell
	}
	t := s.Now.In(c.zone)
	day, minute := t.Weekday(), t.Hour()*60+t.Minute()
	if c.from < c.to {
		return truthOf(c.days[day] && minute >= c.from && minute < c.to)
	}
	yesterday := (day + 6) % 7
	return truthOf(c.days[day] && minute >= c.from || c.days[yesterday] && minute < c.to)
}

func (c *timeCondition) found(s *Session, _ *Facts, _ *Action) string {
	if s.Now.IsZero() {
		return "the time is not known"
	}
	return "it is " + strings.ToLower(s.Now.In(c.zone).Format("Mon 15:04 MST"))
}

func (c *timeCondition) String() string {
	var days []string
	for i := range weekdays {
		if d := (i + 1) % 7; c.days[d] { // from Monday, as people read a week
			days = append(days, weekdays[d])
		}
	}
	return fmt.Sprintf("time: {days: %s, from: \"%s\", to: \"%s\", zone: %s}", list(days), clock(c.from), clock(c.to), c.zoneName)
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// newClock reads "18:30"; "24:00" is the end of the day.
func newClock(text string) (minutes int, ok bool) {
	var h, m int
	if n, err := fmt.Sscanf(text, "%2d:%2d", &h, &m); n != 2 || err != nil || len(text) > 5 || len(text) < 4 {
		return 0, false
	}
	if h < 0 || m < 0 || m > 59 || h > 24 || h == 24 && m != 0 || clock(h*60+m) != text && clock(h*60+m) != "0"+text {
		return 0, false
	}
	return h*60 + m, true
}
