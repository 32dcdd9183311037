package worker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	frameInit    = 0x01
	frameCall    = 0x02
	frameBody    = 0x03
	frameCancel  = 0x04
	frameRecall  = 0x05
	framePing    = 0x06
	frameCredit  = 0x07
	frameStop    = 0x08
	frameHello   = 0x81
	frameReady   = 0x82
	frameInitErr = 0x83
	frameReply   = 0x84
	frameChunk   = 0x85
	framePong    = 0x86
	frameHand    = 0x87
	frameLog     = 0x88

	flagMore   = 1
	flagError  = 2
	flagStream = 4
	flagHTTP   = 8

	headerSize = 16
	// A finished reply waits so long for others at most while a handler runs.
	flushAfter = time.Millisecond
)

type callID struct{ slot, generation uint32 }

type frame struct {
	kind, flags byte
	aux         uint16
	id          callID
	payload     []byte
}

type initValues struct {
	Function    string            `json:"function"`
	Version     string            `json:"version"`
	ARN         string            `json:"arn"`
	Root        string            `json:"root"`
	Environment map[string]string `json:"environment"`
	PerWorker   int               `json:"per_worker"`
	LogRate     int64             `json:"log_rate"`
	LogBurst    int64             `json:"log_burst"`
}

type worker struct {
	engine  *os.File
	init    func() error
	handler Handler
	values  initValues
	logs    limiter
	started time.Time
	clock   int64 // CLOCK_MONOTONIC, in microseconds, when it was `started`

	mu      sync.Mutex
	changed *sync.Cond // of what stands below
	queue   []*Call    // not started, in the order in which they came
	active  map[callID]*Call
	stop    bool

	out       sync.Mutex
	pending   []byte
	scheduled bool
	timer     *time.Timer
}

func newWorker(engine *os.File, init func() error, handler Handler) *worker {
	w := &worker{engine: engine, init: init, handler: handler, started: time.Now(), clock: monotonicMicros(), active: map[callID]*Call{}}
	w.changed = sync.NewCond(&w.mu)
	w.timer = time.AfterFunc(time.Hour, w.flush)
	w.timer.Stop()
	return w
}

// The clock of deadlines, which Go's own doesn't show.
func monotonicMicros() int64 {
	var now syscall.Timespec
	const clockMonotonic = 1
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return now.Sec*1_000_000 + int64(now.Nsec)/1_000
}

func (w *worker) serve() {
	hello, _ := json.Marshal(map[string]any{"protocol": 1, "runtime": "native", "version": runtime.Version()})
	w.put(frameHello, 0, 0, callID{}, hello)
	w.flush()
	w.read()
	os.Exit(0) // the engine is gone
}

// read handles frames until the end of the stream.
func (w *worker) read() {
	input := make([]byte, 512*1024)
	have := 0
	for {
		n, err := w.engine.Read(input[have:])
		if n <= 0 || err != nil {
			return
		}
		have += n
		used := 0
		for have-used >= headerSize {
			size := int(binary.LittleEndian.Uint32(input[used:]))
			if have-used < headerSize+size {
				break
			}
			w.handle(parse(input[used:used+headerSize], input[used+headerSize:used+headerSize+size]))
			used += headerSize + size
		}
		copy(input, input[used:have])
		have -= used
	}
}

func parse(head, payload []byte) frame {
	return frame{head[4], head[5], binary.LittleEndian.Uint16(head[6:]),
		callID{binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:])}, payload}
}

func (w *worker) handle(f frame) {
	switch f.kind {
	case frameInit:
		w.onInit(f.payload)
	case frameCall:
		w.onCall(f)
	case frameBody:
		w.mu.Lock()
		if call := w.queued(f.id); call != nil {
			call.event = append(call.event, f.payload...)
			call.whole = f.flags&flagMore == 0
			w.changed.Broadcast()
		}
		w.mu.Unlock()
	case frameCancel:
		w.mu.Lock()
		call := w.active[f.id]
		if call == nil {
			call = w.queued(f.id)
		}
		if call != nil {
			call.unwanted = true
			if call.cancel != nil {
				call.cancel()
			}
		}
		w.mu.Unlock()
	case frameRecall:
		w.onRecall(f.id)
	case framePing:
		w.put(framePong, 0, f.aux, f.id, nil)
		w.flush()
	case frameCredit:
		w.mu.Lock()
		if call := w.active[f.id]; call != nil {
			call.credit += int(binary.LittleEndian.Uint32(f.payload))
			w.changed.Broadcast()
		}
		w.mu.Unlock()
	case frameStop:
		w.mu.Lock()
		w.stop = true
		w.exitWhenDone()
		w.mu.Unlock()
	}
}

func (w *worker) onInit(payload []byte) {
	began := time.Now()
	err := json.Unmarshal(payload, &w.values)
	if err == nil {
		os.Clearenv()
		for name, value := range w.values.Environment {
			os.Setenv(name, value)
		}
		w.logs.set(w.values.LogRate, w.values.LogBurst)
		err = os.Chdir(w.values.Root)
	}
	if err == nil && w.init != nil {
		err = w.init()
	}
	if err != nil {
		text := encodeError(errorType(err), err.Error(), nil)
		w.put(frameInitErr, 0, 0, callID{}, text)
		w.flush()
		os.Exit(1)
	}
	var micros [4]byte
	binary.LittleEndian.PutUint32(micros[:], uint32(time.Since(began).Microseconds()))
	w.put(frameReady, 0, 0, callID{}, micros[:])
	w.flush()
	for i := 0; i < w.values.PerWorker || i == 0; i++ {
		go w.work()
	}
}

func (w *worker) onCall(f frame) {
	deadline := int64(binary.LittleEndian.Uint64(f.payload))
	id := f.payload[8:24]
	rest := append([]byte(nil), f.payload[24:]...)
	call := &Call{
		RequestID: fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16]),
		HTTP:      f.flags&flagHTTP != 0,
		Function:  w.values.Function, Version: w.values.Version, ARN: w.values.ARN,
		id: f.id, event: rest[f.aux:], whole: f.flags&flagMore == 0, credit: windowMax, worker: w,
		deadline: w.started.Add(time.Duration(deadline-w.clock) * time.Microsecond),
	}
	if f.aux > 0 {
		call.Extension = rest[:f.aux]
		var own struct {
			ARN string `json:"arn"`
		}
		if json.Unmarshal(call.Extension, &own) == nil && own.ARN != "" {
			call.ARN = own.ARN
		}
	}
	w.mu.Lock()
	w.queue = append(w.queue, call)
	w.changed.Broadcast()
	w.mu.Unlock()
}

func (w *worker) onRecall(id callID) {
	w.mu.Lock()
	found := false
	for i, call := range w.queue {
		if call.id == id {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			found = true
			break
		}
	}
	w.mu.Unlock()
	if found {
		w.put(frameHand, 0, 0, id, nil)
		w.flush()
	}
}

func (w *worker) queued(id callID) *Call {
	for _, call := range w.queue {
		if call.id == id {
			return call
		}
	}
	return nil
}

// work runs calls in the order in which they came; there are per_worker of it.
func (w *worker) work() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.mu.Unlock()
			w.flush() // nothing follows at once
			w.mu.Lock()
		}
		for len(w.queue) == 0 || !w.queue[0].whole {
			w.changed.Wait()
		}
		call := w.queue[0]
		w.queue = w.queue[1:]
		w.active[call.id] = call
		w.mu.Unlock()
		w.execute(call)
	}
}

func (w *worker) begin(call *Call, cancel context.CancelFunc) {
	w.mu.Lock()
	call.cancel = cancel
	if call.unwanted { // while it waited
		cancel()
	}
	w.mu.Unlock()
}

func (w *worker) end(call *Call) {
	w.mu.Lock()
	delete(w.active, call.id)
	w.exitWhenDone()
	w.mu.Unlock()
}

// With mu held.
func (w *worker) exitWhenDone() {
	if w.stop && len(w.queue) == 0 && len(w.active) == 0 {
		w.flush()
		os.Exit(0)
	}
}

// ---- out

// put adds a frame to what goes out with the next flush.
func (w *worker) put(kind, flags byte, aux uint16, id callID, parts ...[]byte) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	var head [headerSize]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(size))
	head[4], head[5] = kind, flags
	binary.LittleEndian.PutUint16(head[6:], aux)
	binary.LittleEndian.PutUint32(head[8:], id.slot)
	binary.LittleEndian.PutUint32(head[12:], id.generation)
	w.out.Lock()
	w.pending = append(w.pending, head[:]...)
	for _, part := range parts {
		w.pending = append(w.pending, part...)
	}
	if !w.scheduled {
		w.scheduled = true
		w.timer.Reset(flushAfter)
	}
	if len(w.pending) >= 4*partMax {
		w.write()
	}
	w.out.Unlock()
}

func (w *worker) flush() {
	w.out.Lock()
	w.write()
	w.out.Unlock()
}

// With out held.
func (w *worker) write() {
	if w.scheduled {
		w.scheduled = false
		w.timer.Stop()
	}
	if len(w.pending) == 0 {
		return
	}
	if _, err := w.engine.Write(w.pending); err != nil {
		os.Exit(0) // the engine is gone
	}
	w.pending = w.pending[:0]
}

// part sends a REPLY or CHUNK when its bytes have credit.
func (w *worker) part(call *Call, kind, flags byte, took time.Duration, bytes []byte) {
	w.take(call, len(bytes))
	if kind != frameReply {
		w.put(kind, flags, 0, call.id, bytes)
		return
	}
	var micros [4]byte
	if flags&flagStream == 0 {
		binary.LittleEndian.PutUint32(micros[:], uint32(took.Microseconds()))
	}
	w.put(kind, flags, 0, call.id, micros[:], bytes)
}

// take waits until so many bytes may be sent; of more than may be sent ever without a word of the engine, it waits for all.
func (w *worker) take(call *Call, bytes int) {
	w.mu.Lock()
	for call.credit < bytes {
		w.mu.Unlock()
		w.flush()
		w.mu.Lock()
		if call.credit < bytes {
			w.changed.Wait()
		}
	}
	call.credit -= bytes
	w.mu.Unlock()
}

// available is how many bytes may be sent now, at least one.
func (w *worker) available(call *Call) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if call.credit < 1 {
		return 1
	}
	return call.credit
}

// reply sends a whole reply, in parts if it is large.
func (w *worker) reply(call *Call, took time.Duration, text []byte, failed bool) {
	kind, head := byte(frameReply), 4
	for {
		size := len(text)
		if most := partMax - head; size > most {
			size = most
		}
		if can := w.available(call); size > can {
			size = can
		}
		flags := byte(0)
		if failed && kind == frameReply {
			flags |= flagError
		}
		if size < len(text) {
			flags |= flagMore
		}
		w.part(call, kind, flags, took, text[:size])
		text = text[size:]
		if len(text) == 0 {
			return
		}
		kind, head = frameChunk, 0
	}
}
