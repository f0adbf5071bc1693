package org.distilpose.demo;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.json.JSONException;
import org.json.JSONObject;

/** What a job reports: the lines of edge/agent.py, JSON after a mark, one event a line. */
final class Events {
    private static final String MARK = "@dpe ";

    private final PrintStream out;

    Events(OutputStream out) {
        try {
            this.out = new PrintStream(out, true, StandardCharsets.UTF_8.name());
        } catch (java.io.UnsupportedEncodingException error) {
            throw new AssertionError(error);
        }
    }

    /** An event of that name, for more fields and `send`. */
    static JSONObject of(String event) throws JSONException {
        return new JSONObject().put("event", event);
    }

    /**
     * Write one event.
     *
     * @throws Failure it could not be written: the storage is full
     */
    synchronized void send(JSONObject event) throws Failure {
        out.print(MARK + event + "\n");
        if (out.checkError()) throw new Failure("memory", "events cannot be written on the device; free some storage");
    }
}
