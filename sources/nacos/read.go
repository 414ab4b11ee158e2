package nacos

import (
	"context"
	"net/http"
)

// subscribe asks for a service's instances and for pushes of what changes. Asking again renews the subscription and is
// answered alike, so it is how a service is read at any time.
func (l *link) subscribe(ctx context.Context, namespace string, id serviceID) (content, error) {
	var answer struct {
		Service *serviceInfo `json:"serviceInfo"`
	}
	if err := l.call(ctx, "SubscribeServiceRequest", subscription(namespace, id, true), id, &answer); err != nil {
		return content{}, err
	}
	if answer.Service == nil || answer.Service.Hosts == nil { // a service without instances has an empty list
		return content{}, &statusError{act: "SubscribeServiceRequest", code: http.StatusInternalServerError, message: "the answer holds no list of instances"}
	}
	return decode(id, answer.Service.Hosts), nil
}

// unsubscribe ends the pushes of a service that is gone.
func (l *link) unsubscribe(ctx context.Context, namespace string, id serviceID) error {
	return l.call(ctx, "SubscribeServiceRequest", subscription(namespace, id, false), id, &struct{}{})
}

func subscription(namespace string, id serviceID, on bool) map[string]any {
	return map[string]any{
		"module": "naming", "namespace": namespace, "groupName": id.group, "serviceName": id.name, "subscribe": on, "clusters": "",
	}
}
