package meshbridge.dubbo;

/** The interface that every provider of the tests offers. */
public interface GreetService {
    String greet(String name);
}
