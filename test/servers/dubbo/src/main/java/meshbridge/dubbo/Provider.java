package meshbridge.dubbo;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.MetadataReportConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * Registers {@link GreetService} and prints "provider ready". Arguments are key=value: registry (a URL), app, dubbo and tri
 * (ports, 0 for none), mode (interface, instance or all), group, version, and any param.NAME, a parameter of the service.
 */
public final class Provider {
    private Provider() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> arg = new HashMap<>();
        Map<String, String> parameters = new HashMap<>();
        for (String a : args) {
            String[] kv = a.split("=", 2);
            if (kv[0].startsWith("param.")) {
                parameters.put(kv[0].substring("param.".length()), kv[1]);
            } else {
                arg.put(kv[0], kv[1]);
            }
        }
        String mode = arg.getOrDefault("mode", "all");

        ApplicationConfig app = new ApplicationConfig(arg.get("app"));
        app.setRegisterMode(mode);
        app.setQosEnable(false);
        RegistryConfig registry = new RegistryConfig(arg.get("registry"));
        registry.setRegisterMode(mode);
        registry.setParameters(Map.of("register-mode", mode));

        List<ProtocolConfig> protocols = new ArrayList<>();
        for (String name : List.of("dubbo", "tri")) {
            int port = Integer.parseInt(arg.getOrDefault(name, "0"));
            if (port != 0) {
                protocols.add(new ProtocolConfig(name, port));
            }
        }

        ServiceConfig<GreetService> service = new ServiceConfig<>();
        service.setInterface(GreetService.class);
        service.setRef(name -> "hello " + name);
        if (arg.containsKey("group")) service.setGroup(arg.get("group"));
        if (arg.containsKey("version")) service.setVersion(arg.get("version"));
        service.setParameters(parameters);

        DubboBootstrap.getInstance()
                .application(app)
                .registry(registry)
                .metadataReport(new MetadataReportConfig(arg.get("registry")))
                .protocols(protocols)
                .service(service)
                .start();
        System.out.println("provider ready");
        new CountDownLatch(1).await();
    }
}
