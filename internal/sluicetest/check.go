package sluicetest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take that must not hang.
var patience = 20 * time.Second

// idle is how long a check lets a reader run on, so that it most likely waits
// when it is disturbed. Either way the outcome must be right.
const idle = 20 * time.Millisecond

// check holds an implementation T to one sentence of its contract. It returns
// an error rather than failing t, so that a test can see it fail.
type check[T any] struct {
	name string
	run  func(t testing.TB, open func(testing.TB) T) error
}

func runAll[T any](t *testing.T, open func(testing.TB) T, checks []check[T]) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if err := audit(t, c, open); err != nil {
				t.Error(err)
			}
		})
	}
}

// audit runs a check and looks for goroutines that outlive it.
func audit[T any](t testing.TB, c check[T], open func(testing.TB) T) (err error) {
	before := goleak.IgnoreCurrent()
	s := newScope(t)
	defer func() {
		s.end()
		err = errors.Join(err, goleak.Find(before))
	}()
	return c.run(s, open)
}

// scope is a testing.TB whose Cleanup and Context end with a check.
type scope struct {
	testing.TB
	ctx      context.Context
	cancel   context.CancelFunc
	cleanups []func()
}

func newScope(t testing.TB) *scope {
	ctx, cancel := context.WithCancel(t.Context())
	return &scope{TB: t, ctx: ctx, cancel: cancel}
}

func (s *scope) Context() context.Context { return s.ctx }

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	s.cancel()
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		f()
	}
}

// within runs f and gives up on it when it hangs.
func within(what string, f func() error) error {
	_, err := await(what, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// await is within for a function that returns something, which it hands over
// only if f returned: until then f may be writing to it.
func await[T any](what string, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("%s panics: %v\n%s", what, p, debug.Stack())
			}
			done <- r
		}()
		r.v, r.err = f()
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-time.After(patience):
		return result{}.v, fmt.Errorf("%s has not returned within %v", what, patience)
	}
}
