package meshbridge.dubbo;

import java.util.Map;
import org.apache.dubbo.config.annotation.DubboReference;
import org.springframework.context.annotation.Profile;
import org.springframework.stereotype.Component;

/** Whoever wrote this thought of no mesh. */
@Component
@Profile("!annotated")
class Unchanged implements References {
    @DubboReference
    private GreetService greet;

    @Override
    public Map<String, GreetService> byName() {
        return Map.of("greet", greet);
    }
}
