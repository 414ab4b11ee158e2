package zookeeper

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mutate changes one thing of a small registry at random. A provider goes only together with the application's node of
// the same address, because what was listed once is left out for as long as that node lives, which a follower that came
// later cannot know.
func mutate(t *tree, random *rand.Rand) {
	iface := fmt.Sprintf("org.example.I%d", random.IntN(2))
	host := fmt.Sprintf("10.0.0.%d", random.IntN(6)+1)
	app := fmt.Sprintf("app%d", random.IntN(3))
	node, data := dubboInstance(app, host, 20880)
	switch random.IntN(12) {
	case 0, 1, 2:
		version := []string{"", "version=1"}[random.IntN(2)]
		t.put(providerNode(iface, host+":20880", version, fmt.Sprintf("timestamp=%d", random.IntN(3))), "")
	case 3, 4:
		for i := range 3 {
			at, _ := dubboInstance(fmt.Sprintf("app%d", i), host, 20880)
			t.remove(at)
		}
		for i := range 3 {
			t.remove(providerNode(iface, host+":20880", "", fmt.Sprintf("timestamp=%d", i)))
			t.remove(providerNode(iface, host+":20880", "version=1", fmt.Sprintf("timestamp=%d", i)))
		}
	case 5:
		t.put(node, data)
	case 6:
		t.remove(node)
	case 7:
		t.put("/dubbo/mapping/"+iface, app)
	case 8:
		t.put("/dubbo/mapping/"+iface, app+",app0")
	case 9:
		t.put("/services/spring/"+host, fmt.Sprintf(`{"address":%q,"port":%d}`, host, random.IntN(3)))
	case 10:
		t.put("/dubbo/"+iface+"/configurators/override%3A%2F%2F0.0.0.0%2Fx%3Fgroup%3D*%26version%3D*%26weight%3D"+fmt.Sprint(random.IntN(3)), "")
	case 11:
		switch random.IntN(4) {
		case 0:
			t.remove("/dubbo/" + iface + "/configurators")
		case 1:
			t.remove("/dubbo/mapping/" + iface)
		case 2:
			t.remove("/services/spring")
		default:
			t.put("/dubbo/"+iface+"/consumers", "")
		}
	}
}

// served is the text of what has instances: a service that lost its last one is kept by those who knew it.
func served(text string) string {
	var out []string
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "/") && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], " ")) {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func TestAnySequenceOfChangesEndsAsAFreshLookDoes(t *testing.T) {
	for seed := range uint64(40) {
		for _, mode := range []string{ModeAll, ModeInstance, ModeInterface} {
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 1))
					var lock sync.Mutex // of random, once workers use it too
					tree := newTree()
					tree.put("/dubbo", "")
					tree.put("/services", "")
					c := Default()
					c.Dubbo.Mode = mode
					b := follow(t, tree, c)
					tree.mu.Lock()
					tree.answered = func(string, string) { // in the midst of a read
						lock.Lock()
						defer lock.Unlock()
						if random.IntN(10) == 0 {
							mutate(tree, random)
						}
					}
					tree.mu.Unlock()
					for step := range 20 + int(seed)*5 {
						lock.Lock()
						mutate(tree, random)
						pause := time.Duration(random.IntN(300)) * time.Millisecond
						lock.Unlock()
						if step%7 == 0 {
							b.wait(pause)
						}
						if step%60 == 59 {
							b.stop()
							b.session()
						}
					}
					tree.mu.Lock()
					tree.answered = nil
					tree.mu.Unlock()
					b.wait(3 * settle)
					got := served(text(b.picture()))
					b.stop()
					want := served(text(follow(t, tree, c).picture()))
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("a fresh look finds something else (-fresh +followed):\n%s", diff)
					}
				})
			})
		}
	}
}
