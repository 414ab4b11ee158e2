package zookeeper

import (
	"testing"
	"testing/synctest"
)

// These show what becomes of one provider in both trees as its nodes come and go.

const (
	asInterface = "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100"
	asApp       = "  10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100"
)

func TestAnApplicationThatInterfacesListIsNoService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		b := follow(t, tree, Default())
		tree.put("/dubbo/mapping/org.example.Greet", "orders")
		node, data := dubboInstance("orders", "10.0.0.1", 20880)
		tree.put(node, data)
		b.wait(settle)
		b.expect("first the application",
			"/dubbo org.example.Greet (interface)", asApp,
			"/services orders", asApp)
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880", "version=1"), "")
		b.wait(2 * settle)
		b.expect("then its interface, which is all",
			"/dubbo org.example.Greet 1 (interface)", asInterface+" version=1")
	})
}

func TestAWithdrawnInterfaceDoesNotComeBackAsAnApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put("/dubbo/mapping/org.example.Greet", "orders")
		node, data := dubboInstance("orders", "10.0.0.1", 20880)
		tree.put(node, data)
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		b := follow(t, tree, Default())
		b.expect("the interface", "/dubbo org.example.Greet (interface)", asInterface)
		tree.remove(providerNode("org.example.Greet", "10.0.0.1:20880"))
		b.wait(settle)
		b.expect("withdrawn", "/dubbo org.example.Greet (interface)")
		tree.remove(node)
		b.wait(settle)
		b.expect("stopped", "/dubbo org.example.Greet (interface)")
		tree.put(node, data) // another process in its place, which registers as an application only
		b.wait(settle)
		b.expect("another one",
			"/dubbo org.example.Greet (interface)", asApp,
			"/services orders", asApp)
	})
}

func TestAnApplicationWithoutInstancesKeepsItsServiceAndWithoutANodeLosesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put("/dubbo/mapping/org.example.Greet", "orders")
		node, data := dubboInstance("orders", "10.0.0.1", 20880)
		tree.put(node, data)
		b := follow(t, tree, Default())
		tree.remove(node)
		b.wait(settle)
		b.expect("both empty", "/dubbo org.example.Greet (interface)", "/services orders")
		tree.remove("/services/orders")
		tree.remove("/dubbo/mapping/org.example.Greet")
		b.wait(settle)
		b.expect("neither")
	})
}

func TestTheMappingDecidesWhichInterfacesAnApplicationOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		node, data := dubboInstance("orders", "10.0.0.1", 20880)
		tree.put(node, data)
		other, otherData := dubboInstance("other", "10.0.0.2", 20880)
		tree.put(other, otherData)
		b := follow(t, tree, Default())
		services := []string{"/services orders", asApp, "/services other", "  10.0.0.2:20880 at 10.0.0.2 dubbo:20880 weight 100"}
		b.expect("no interface", services...)
		tree.put("/dubbo/mapping/org.example.Greet", "orders")
		b.wait(settle)
		b.expect("one application", append([]string{"/dubbo org.example.Greet (interface)", asApp}, services...)...)
		tree.put("/dubbo/mapping/org.example.Greet", "orders,other")
		b.wait(settle)
		b.expect("both", append([]string{"/dubbo org.example.Greet (interface)", asApp, services[3]}, services...)...)
	})
}

func TestAnInterfaceHasInstancesOfBothTrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put("/dubbo/mapping/org.example.Greet", "orders")
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		node, data := dubboInstance("orders", "10.0.0.2", 20880)
		tree.put(node, data)
		b := follow(t, tree, Default())
		b.expect("one of each",
			"/dubbo org.example.Greet (interface)",
			"  10.0.0.2:20880 at 10.0.0.2 dubbo:20880 weight 100", asInterface,
			"/services orders",
			"  10.0.0.2:20880 at 10.0.0.2 dubbo:20880 weight 100")
	})
}

func TestOnlyTheListedProtocolOfAnApplicationIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		tree.put("/services/orders/a", `{"address":"10.0.0.1","port":20880,"payload":{"metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"},{\"port\":20880,\"protocol\":\"tri\"}]"}}}`)
		b := follow(t, tree, Default())
		b.expect("Triple is left",
			"/dubbo org.example.Greet (interface)", asInterface,
			"/services orders", "  a at 10.0.0.1 tri:20880 weight 100")
	})
}

func TestARevisionWithoutInterfacesIsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put("/services/orders/a", `{"address":"10.0.0.1","port":20880,"payload":{"metadata":{"dubbo.metadata.revision":"0"}}}`)
		b := follow(t, tree, Default())
		b.expect("disabled", "/services orders", "  a at 10.0.0.1 dubbo:20880 weight 100 disabled")
	})
}

func TestApplicationsJoinAnInterfaceThatWasReportedLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880", "version=1"), "")
		b := follow(t, tree, Default())
		versioned := []string{"/dubbo org.example.Greet 1 (interface)", asInterface + " version=1"}
		alone := append([]string{"/dubbo org.example.Greet (interface)", asInterface}, versioned...)
		b.wait(settle)
		b.expect("the interface", alone...)

		const other = "  10.0.0.2:20880 at 10.0.0.2 dubbo:20880 weight 100"
		node, data := dubboInstance("orders", "10.0.0.2", 20880)
		tree.put(node, data)
		b.wait(settle)
		b.expect("an application of which nothing is known", append(alone, "/services orders", other)...)
		tree.put("/dubbo/mapping/org.example.Greet", "orders")
		b.wait(settle)
		joined := append([]string{"/dubbo org.example.Greet (interface)", other, asInterface}, versioned...)
		b.expect("joined", append(joined, "/services orders", other)...)
		tree.put(providerNode("org.example.Greet", "10.0.0.3:20880", "version=1"), "")
		b.wait(settle)
		grown := append(joined, "  dubbo://10.0.0.3:20880 at 10.0.0.3 dubbo:20880 weight 100 version=1")
		b.expect("still joined when the interface changes", append(grown, "/services orders", other)...)
		tree.remove(providerNode("org.example.Greet", "10.0.0.3:20880", "version=1"))
		tree.remove("/services/orders")
		b.wait(settle)
		b.expect("alone again", alone...)
	})
}
