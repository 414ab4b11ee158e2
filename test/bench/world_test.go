package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryServiceIsChangedOnceInARound(t *testing.T) {
	for _, services := range []int{1000, 2000, 10000, 100000} {
		w := World{Services: services}
		met := map[int]bool{}
		for change := 1; change <= services; change++ {
			met[w.target(change)] = true
		}
		if len(met) != services {
			t.Errorf("%d changes to %d services met %d of them", services, services, len(met))
		}
	}
}

func TestOnlyAnEndpointThatAChangeAddedIsFound(t *testing.T) {
	var data []byte
	for _, address := range []string{"10.11.3.4", "11.0.1.2", "111.1.2.3", "11.1.2", "11.0.0.300", "11.255.255.255"} {
		data = append(append(data, inWorkloadEntry, byte(len(address))), address...)
	}
	var found []int
	changes(data, inWorkloadEntry, func(change int) { found = append(found, change) })
	if diff := cmp.Diff([]int{258, 1<<24 - 1}, found); diff != "" {
		t.Errorf("found (-want +got)\n%s", diff)
	}
	changes(data, inSocketAddress, func(change int) { t.Errorf("found %d in another message", change) })
}

func TestAReplacedChangeCountsUntilItsSuccessorIsSeen(t *testing.T) {
	world := World{Services: 2, Spread: 1} // changes 1 and 3 are to one service, 2 and 4 to the other
	pace := Pace{First: 1, Count: 4}
	paced := Paced{At: []int64{10, 20, 30, 40}}
	received := Received{Got: []Got{{Change: 3, At: 100}, {Change: 2, At: 25}}}
	delays, unseen := seen(pace, paced, received, world)
	if diff := cmp.Diff([]time.Duration{70, 5, 90}, delays); diff != "" {
		t.Errorf("delays (-want +got)\n%s", diff)
	}
	if unseen != 1 {
		t.Errorf("%d were never seen, want the last", unseen)
	}
}

func TestAQuantileOfFewValuesIsOneOfThem(t *testing.T) {
	values := []time.Duration{5, 1, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
}
