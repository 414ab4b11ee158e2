package meshbridge.spring;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.reactive.function.client.WebClient;

/**
 * Listens at the port "listen" and prints "consumer ready". GET /hello answers who it is; GET /NAME calls /hello of billing by
 * the client of that name and answers what that one answered, or 502 and the reason.
 */
@SpringBootApplication
@EnableFeignClients
@RestController
public class Consumer {
    private final String name;
    private final RestTemplate balanced;
    private final WebClient balancedReactive;
    private final Billing feign;
    private final BillingAtURL feignAtURL;
    private final ByHost byHost;

    Consumer(@Value("${spring.application.name}") String name, RestTemplate balanced, @LoadBalanced WebClient.Builder reactive, Billing feign,
            BillingAtURL feignAtURL, ByHost byHost) {
        this.name = name;
        this.balanced = balanced;
        this.balancedReactive = reactive.build();
        this.feign = feign;
        this.feignAtURL = feignAtURL;
        this.byHost = byHost;
    }

    public static void main(String[] args) {
        SpringApplication.run(Consumer.class, args);
        System.out.println("consumer ready");
    }

    @GetMapping("/hello")
    String hello() {
        return "hello from " + name;
    }

    @GetMapping("/{client}")
    ResponseEntity<String> call(@PathVariable String client) {
        try {
            return ResponseEntity.ok(switch (client) {
                case "balanced" -> balanced.getForObject("http://billing/hello", String.class);
                case "balancedReactive" -> balancedReactive.get().uri("http://billing/hello").retrieve().bodyToMono(String.class).block();
                case "feign" -> feign.hello();
                case "feignAtURL" -> feignAtURL.hello();
                case "template" -> byHost.byTemplate();
                case "client" -> byHost.byClient();
                case "reactive" -> byHost.byReactive();
                default -> throw new IllegalArgumentException("no client is named " + client);
            });
        } catch (RuntimeException e) {
            return ResponseEntity.status(502).body(e.toString());
        }
    }
}
