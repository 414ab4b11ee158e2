module meshbridge/test

go 1.26.0

require (
	github.com/go-zookeeper/zk v1.0.4
	golang.org/x/sys v0.49.0
	meshbridge v0.0.0-00010101000000-000000000000
)

replace meshbridge => ../
