package worker

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	lineMax       = 65_536
	keptForMarker = 1_024 // bytes of the burst
	markEvery     = time.Second
)

// limiter cuts what a function logs to log_rate bytes a second, behind a burst.
type limiter struct {
	mu          sync.Mutex
	rate, burst float64
	room        float64
	at, marked  time.Time
	dropped     uint64
}

func (l *limiter) set(rate, burst int64) {
	l.rate, l.burst, l.room, l.at = float64(rate), float64(burst), float64(burst), time.Now()
}

// With mu held: is there room for so many bytes, and `kept` more?
func (l *limiter) pass(bytes int, kept float64) bool {
	now := time.Now()
	l.room += now.Sub(l.at).Seconds() * l.rate
	l.at = now
	if l.room > l.burst {
		l.room = l.burst
	}
	if l.room < float64(bytes)+kept {
		return false
	}
	l.room -= float64(bytes)
	return true
}

// mark tells how many lines were dropped, if there is room for that.
func (l *limiter) mark(w *worker, id callID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped == 0 {
		return
	}
	text := fmt.Sprintf("[hearth] %d log lines dropped\n", l.dropped)
	if l.pass(len(text), 0) {
		l.dropped, l.marked = 0, time.Now()
		w.put(frameLog, 0, uint16(Warning), id, []byte(text))
	}
}

// log sends each line in a frame of its own, a long one in several.
func (w *worker) log(id callID, level Level, text string) {
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		w.logs.mu.Lock()
		passed := w.logs.pass(len(line)+1, keptForMarker)
		if !passed {
			w.logs.dropped++
		}
		due := !passed && time.Since(w.logs.marked) > markEvery
		w.logs.mu.Unlock()
		if due {
			w.logs.mark(w, id)
		}
		if !passed {
			continue
		}
		line += "\n"
		for len(line) > lineMax {
			w.put(frameLog, flagMore, uint16(level), id, []byte(line[:lineMax]))
			line = line[lineMax:]
		}
		w.put(frameLog, 0, uint16(level), id, []byte(line))
	}
}
