package meshbridge.dubbo;

import java.util.Map;
import org.apache.dubbo.config.annotation.DubboReference;
import org.springframework.context.annotation.Profile;
import org.springframework.stereotype.Component;

/** One reference for each protocol, by the host of the mesh. */
@Component
@Profile("annotated")
class Annotated implements References {
    @DubboReference(url = "dubbo://meshbridge.dubbo.greetservice.mesh:20880", check = false)
    private GreetService greet;

    @DubboReference(url = "tri://meshbridge.dubbo.greetservice.mesh:50051", check = false)
    private GreetService greetTriple;

    @Override
    public Map<String, GreetService> byName() {
        return Map.of("greet", greet, "greetTriple", greetTriple);
    }
}
