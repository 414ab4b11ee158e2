package meshbridge.nacos;

import com.alibaba.nacos.core.service.NamespaceOperationService;
import com.alibaba.nacos.plugin.auth.exception.AccessException;
import java.util.Map;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.ControllerAdvice;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** The console's API of namespaces, on the server's own service; as the console's, it asks for no permission. */
@RestController
class Console {
    @Autowired
    private NamespaceOperationService namespaces;

    @GetMapping("/v1/console/namespaces")
    Map<String, Object> list() {
        return Map.of("code", 200, "message", "", "data", namespaces.getNamespaceList());
    }

    @GetMapping("/v2/console/namespace/list")
    Map<String, Object> list2() {
        return Map.of("code", 0, "message", "success", "data", namespaces.getNamespaceList());
    }

    @PostMapping("/v1/console/namespaces")
    boolean create(
            @RequestParam("customNamespaceId") String id,
            @RequestParam("namespaceName") String name,
            @RequestParam(value = "namespaceDesc", required = false) String description) throws Exception {
        return namespaces.createNamespace(id, name, description);
    }

    /** A refused login is 403, as the console answers it. */
    @ControllerAdvice
    @Order(Ordered.HIGHEST_PRECEDENCE)
    static class Refused {
        @ExceptionHandler(AccessException.class)
        ResponseEntity<String> refused(AccessException e) {
            return ResponseEntity.status(403).body(e.getErrMsg());
        }
    }
}
