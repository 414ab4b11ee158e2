package meshbridge.eureka;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.netflix.eureka.server.EnableEurekaServer;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.crypto.password.NoOpPasswordEncoder;
import org.springframework.security.crypto.password.PasswordEncoder;
import org.springframework.security.web.SecurityFilterChain;

/** A Eureka server, open unless meshbridge.auth is true: then it wants spring.security.user.name and password by HTTP Basic. */
@SpringBootApplication
@EnableEurekaServer
public class Main {
    public static void main(String[] args) {
        SpringApplication.run(Main.class, args);
    }

    @Bean
    SecurityFilterChain access(HttpSecurity http, @Value("${meshbridge.auth:false}") boolean auth) throws Exception {
        http.csrf(csrf -> csrf.disable());
        if (!auth) {
            return http.authorizeHttpRequests(all -> all.anyRequest().permitAll()).build();
        }
        return http.authorizeHttpRequests(all -> all.anyRequest().authenticated()).httpBasic(Customizer.withDefaults()).build();
    }

    /** The usual one takes a tenth of a second of processor time for each request. */
    @Bean
    @SuppressWarnings("deprecation")
    PasswordEncoder plain() {
        return NoOpPasswordEncoder.getInstance();
    }
}
