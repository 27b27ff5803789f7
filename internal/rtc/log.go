package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers gives pion's many loggers one slog.Logger, all at level debug: what
// matters of it, sessions say themselves.
type loggers struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	return logger{l.log.With("pion", scope)}
}

type logger struct{ log *slog.Logger }

func (l logger) say(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (logger) Trace(string)                     {}
func (logger) Tracef(string, ...any)            {}
func (logger) Debug(string)                     {}
func (logger) Debugf(string, ...any)            {}
func (logger) Info(string)                      {}
func (logger) Infof(string, ...any)             {}
func (l logger) Warn(msg string)                { l.say("%s", msg) }
func (l logger) Warnf(format string, a ...any)  { l.say(format, a...) }
func (l logger) Error(msg string)               { l.say("%s", msg) }
func (l logger) Errorf(format string, a ...any) { l.say(format, a...) }
