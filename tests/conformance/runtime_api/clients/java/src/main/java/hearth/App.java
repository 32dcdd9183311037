package hearth;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.HashMap;
import java.util.Map;

/** As clients/python/app.py. */
public class App implements RequestHandler<Map<String, Object>, Object> {
    static {
        if (System.getenv("FAIL_INIT") != null) {
            throw new IllegalStateException("the init was told to fail");
        }
    }

    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        switch (String.valueOf(event.get("do"))) {
            case "error":
                throw new IllegalArgumentException("an error with \u00fc");
            case "exit":
                Runtime.getRuntime().halt(3);
                break;
            case "large":
                return new String(new char[((Number) event.get("bytes")).intValue()]).replace('\0', 'x');
            case "sleep":
                try {
                    Thread.sleep(((Number) event.get("ms")).longValue());
                } catch (InterruptedException e) {
                    throw new RuntimeException(e);
                }
                break;
            default:
                break;
        }
        context.getLogger().log("a line of " + context.getAwsRequestId() + "\n");
        Map<String, Object> reply = new HashMap<>();
        reply.put("event", event);
        reply.put("request_id", context.getAwsRequestId());
        reply.put("arn", context.getInvokedFunctionArn());
        reply.put("left_ms", context.getRemainingTimeInMillis());
        reply.put("name", context.getFunctionName());
        reply.put("handler", System.getenv("_HANDLER"));
        String trace = System.getProperty("com.amazonaws.xray.traceHeader");
        reply.put("trace", trace == null ? "" : trace);
        reply.put("client", context.getClientContext() == null ? null : context.getClientContext().getCustom());
        reply.put("pid", Long.parseLong(java.lang.management.ManagementFactory.getRuntimeMXBean().getName().split("@")[0]));
        return reply;
    }
}
