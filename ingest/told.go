package ingest

import "errors"

// errFailed is what a peer is told where the reason is none of its business.
var errFailed = errors.New("ingest: the server cannot answer now; try again later")

// internalError is a failure of the application, or of what it stores in. Its
// text may name files and hosts: it is for the log.
type internalError struct{ error }

func (e internalError) Unwrap() error { return e.error }

// answered returns what a callback answered a Request with: one of the errors
// that are for the peer, or else a failure of its own.
func answered(err error) error {
	for _, answer := range []error{ErrDenied, ErrBusy, ErrNotFound} {
		if errors.Is(err, answer) {
			return err
		}
	}
	return internalError{err}
}

// told returns what the peer learns of the reason for which it is refused.
func told(err error) error {
	if errors.As(err, new(internalError)) {
		return errFailed
	}
	return err
}
