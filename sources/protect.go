package sources

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Protect says which loss of usable instances the guard holds back. The zero value holds back nothing.
type Protect struct {
	// MaxLoss is how much of the most usable instances that a scope had within the window may go at once. Default: 30%.
	MaxLoss Percent `yaml:"maxLoss"`
	// MinLoss is a loss too small to be held back, whatever part it is. Default: see its keys.
	MinLoss MinLoss `yaml:"minLoss"`
	// Window is how far back the guard compares, and how long a scope that has recovered is watched before the rest of a loss
	// passes. Default: 1m.
	Window time.Duration `yaml:"window"`
	// Delay is how long a removal waits, so that what comes as thousands of single events is judged as one. Default: 500ms.
	Delay time.Duration `yaml:"delay"`
	// Hold is how long a partial loss is held back; the loss of a whole scope is held until it recovers or is released.
	// Default: 10m.
	Hold time.Duration `yaml:"hold"`
}

// MinLoss is the least loss that is held back: both must be reached.
type MinLoss struct {
	// Instances that went. Default: 10.
	Instances int `yaml:"instances"`
	// Services that they belonged to. Default: 3.
	Services int `yaml:"services"`
}

// DefaultProtect is what protects a source that says nothing.
func DefaultProtect() Protect {
	return Protect{
		MaxLoss: 30, MinLoss: MinLoss{Instances: 10, Services: 3},
		Window: time.Minute, Delay: 500 * time.Millisecond, Hold: 10 * time.Minute,
	}
}

// Validate joins what is wrong, each fault led by its path.
func (p Protect) Validate() error {
	var errs []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(p.MaxLoss < 0 || p.MaxLoss > 100, "maxLoss: %v is none of 0%% to 100%%", p.MaxLoss)
	fault(p.MinLoss.Instances < 1, "minLoss.instances: %d is less than 1", p.MinLoss.Instances)
	fault(p.MinLoss.Services < 1, "minLoss.services: %d is less than 1", p.MinLoss.Services)
	fault(p.Window < p.Delay, "window: %v is shorter than the delay of %v", p.Window, p.Delay)
	fault(p.Delay < 0, "delay: %v is negative", p.Delay)
	fault(p.Hold < 0, "hold: %v is negative", p.Hold)
	return errors.Join(errs...)
}

// Percent is a part of a hundred, written as 30%.
type Percent float64

// String writes it as it is read.
func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

// MarshalText writes it as it is read.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a number with a percent sign.
func (p *Percent) UnmarshalText(text []byte) error {
	number, found := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(number, 64)
	if !found || err != nil {
		return fmt.Errorf("%q is no percentage: a number and a percent sign, such as 30%%", text)
	}
	*p = Percent(n)
	return nil
}
