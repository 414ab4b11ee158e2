package config

import (
	"time"

	"meshbridge/sources"
)

// Protect changes for one source what protect says for all.
type Protect struct {
	// MaxLoss is how much of the most usable instances that a scope had within the window may go at once. Default: none.
	MaxLoss *sources.Percent `yaml:"maxLoss"`
	// MinLoss is a loss too small to be held back, whatever part it is. Default: none.
	MinLoss MinLoss `yaml:"minLoss"`
	// Window is how far back a loss is looked for. Default: none.
	Window *time.Duration `yaml:"window"`
	// Delay is how long a removal waits. Default: none.
	Delay *time.Duration `yaml:"delay"`
	// Hold is how long a partial loss is held back. Default: none.
	Hold *time.Duration `yaml:"hold"`
}

// MinLoss changes for one source what protect.minLoss says for all.
type MinLoss struct {
	// Instances that went. Default: none.
	Instances *int `yaml:"instances"`
	// Services that they belonged to. Default: none.
	Services *int `yaml:"services"`
}

// Of is what protects a source: what holds for all, as far as this does not change it.
func (p Protect) Of(all sources.Protect) sources.Protect {
	change(&all.MaxLoss, p.MaxLoss)
	change(&all.MinLoss.Instances, p.MinLoss.Instances)
	change(&all.MinLoss.Services, p.MinLoss.Services)
	change(&all.Window, p.Window)
	change(&all.Delay, p.Delay)
	change(&all.Hold, p.Hold)
	return all
}

func change[T any](value *T, to *T) {
	if to != nil {
		*value = *to
	}
}
