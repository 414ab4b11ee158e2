package meshbridge.spring;

import org.springframework.stereotype.Component;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.reactive.function.client.WebClient;

/** Clients that call the host of a URL: none is @LoadBalanced. */
@Component
class ByHost {
    private final RestTemplate template = new RestTemplate();
    private final RestClient client = RestClient.create("http://billing.mesh");
    private final WebClient reactive = WebClient.create("http://billing.mesh");

    String byTemplate() {
        return template.getForObject("http://billing.mesh/hello", String.class);
    }

    String byClient() {
        return client.get().uri("/hello").retrieve().body(String.class);
    }

    String byReactive() {
        return reactive.get().uri("/hello").retrieve().bodyToMono(String.class).block();
    }
}
