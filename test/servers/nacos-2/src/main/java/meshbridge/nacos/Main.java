package meshbridge.nacos;

import com.alibaba.nacos.core.code.ControllerMethodsCache;
import com.alibaba.nacos.sys.filter.NacosTypeExcludeFilter;
import javax.annotation.PostConstruct;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.SpringBootConfiguration;
import org.springframework.boot.autoconfigure.AutoConfigurationExcludeFilter;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.context.TypeExcludeFilter;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.context.annotation.ComponentScan;
import org.springframework.context.annotation.FilterType;
import org.springframework.scheduling.annotation.EnableScheduling;

/** Starts a Nacos 2 server as its console application does, and prints "nacos ready". What the console would add is in {@link Console}. */
@SpringBootConfiguration
@EnableAutoConfiguration
@ComponentScan(basePackages = {"com.alibaba.nacos", "meshbridge.nacos"}, excludeFilters = {
    @ComponentScan.Filter(type = FilterType.CUSTOM, classes = NacosTypeExcludeFilter.class),
    @ComponentScan.Filter(type = FilterType.CUSTOM, classes = TypeExcludeFilter.class),
    @ComponentScan.Filter(type = FilterType.CUSTOM, classes = AutoConfigurationExcludeFilter.class)})
@ServletComponentScan(basePackages = "com.alibaba.nacos")
@EnableScheduling
public class Main {
    @Autowired
    private ControllerMethodsCache methods;

    /** The filter of access control secures only the methods of packages that are named here. */
    @PostConstruct
    void secure() {
        for (String part : new String[] {"core.controller", "naming.controllers", "config.server.controller"}) {
            methods.initClassMethod("com.alibaba.nacos." + part);
        }
    }

    public static void main(String[] args) {
        SpringApplication.run(Main.class, args);
        System.out.println("nacos ready");
    }
}
