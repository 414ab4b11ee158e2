package meshbridge.spring;

import org.springframework.cloud.openfeign.FeignClient;
import org.springframework.web.bind.annotation.GetMapping;

@FeignClient("billing")
interface Billing {
    @GetMapping("/hello")
    String hello();
}
