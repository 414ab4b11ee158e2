package meshbridge.spring;

import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.reactive.function.client.WebClient;

/** Clients that take the host of a URL for the name of a service, and look its instances up. */
@Configuration
class ByName {
    @Bean
    @LoadBalanced
    RestTemplate balanced() {
        return new RestTemplate();
    }

    @Bean
    @LoadBalanced
    WebClient.Builder balancedReactive() {
        return WebClient.builder();
    }
}
