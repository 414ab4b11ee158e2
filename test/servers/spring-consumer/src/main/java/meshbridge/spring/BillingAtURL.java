package meshbridge.spring;

import org.springframework.cloud.openfeign.FeignClient;
import org.springframework.web.bind.annotation.GetMapping;

@FeignClient(name = "billing-at-url", url = "http://billing.mesh")
interface BillingAtURL {
    @GetMapping("/hello")
    String hello();
}
