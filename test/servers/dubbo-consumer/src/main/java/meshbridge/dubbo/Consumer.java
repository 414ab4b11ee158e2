package meshbridge.dubbo;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import org.apache.dubbo.config.spring.context.annotation.EnableDubbo;
import org.apache.dubbo.rpc.RpcContext;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;

/**
 * Holds references to {@link GreetService}: {@link Unchanged}, and in the profile "annotated" those of {@link Annotated}. When
 * they are made it listens on 127.0.0.1 at the port "listen" and prints "consumer ready". GET /NAME?KEY=VALUE calls the reference
 * of that name with that attachment, which may be left out, and answers what it returned, or 502 and the reason.
 */
@SpringBootApplication
@EnableDubbo
public class Consumer {
    public static void main(String[] args) throws Exception {
        ConfigurableApplicationContext context = SpringApplication.run(Consumer.class, args);
        Map<String, GreetService> references = new HashMap<>();
        context.getBeansOfType(References.class).values().forEach(r -> references.putAll(r.byName()));
        int port = context.getEnvironment().getRequiredProperty("listen", Integer.class);
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            String name = exchange.getRequestURI().getPath().substring(1);
            String query = exchange.getRequestURI().getQuery();
            int status = 200;
            String answer;
            try {
                if (query != null) {
                    String[] kv = query.split("=", 2);
                    RpcContext.getClientAttachment().setAttachment(kv[0], kv[1]);
                }
                answer = references.get(name).greet(name);
            } catch (RuntimeException e) {
                status = 502;
                answer = e.toString();
            }
            byte[] body = answer.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("consumer ready");
    }
}
