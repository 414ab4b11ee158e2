package meshbridge.dubbo;

import java.util.Map;

/** References that the tests call by name. */
interface References {
    Map<String, GreetService> byName();
}
