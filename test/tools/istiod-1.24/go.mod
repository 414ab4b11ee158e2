module meshbridge/test/tools/istiod124

go 1.26.0

require (
	istio.io/api v1.24.0
	istio.io/client-go v1.24.0
	istio.io/istio v0.0.0-20241105211601-8825a6b7f8c9
)

replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5

tool istio.io/istio/pilot/cmd/pilot-discovery
