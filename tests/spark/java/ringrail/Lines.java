package ringrail;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The line protocol: {@code ID COMMAND key=value ...} in, one line of JSON with the same id out.
 *
 * <p>Values are percent-encoded UTF-8. Every command runs on a thread of its own, so answers come in
 * any order. A command that throws is answered with {@code {"id":ID,"ok":false,"error":"..."}}.
 */
final class Lines {
  /** What a command does. */
  interface Command {
    Map<String, Object> run(Arguments arguments) throws Exception;
  }

  private final Map<String, Command> commands = new TreeMap<>();
  private final PrintStream out = System.out;

  Lines() {
    // Whatever Spark, Netty or a logger print must not fall between the answers.
    System.setOut(System.err);
  }

  void add(String name, Command command) {
    commands.put(name, command);
  }

  /** Answers commands until stdin ends. */
  void run() throws Exception {
    ExecutorService threads =
        Executors.newCachedThreadPool(
            task -> {
              Thread thread = new Thread(task, "command");
              thread.setDaemon(true);
              return thread;
            });
    say(Json.of("ready", true, "java", System.getProperty("java.version")));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      if (!line.isBlank()) {
        String asked = line;
        threads.execute(() -> answer(asked));
      }
    }
  }

  private void answer(String line) {
    String[] words = line.trim().split(" ");
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("id", Long.parseLong(words[0]));
    try {
      Command command = commands.get(words[1]);
      if (command == null) {
        throw new IllegalArgumentException("no command " + words[1] + ", but " + commands.keySet());
      }
      Map<String, Object> result = command.run(new Arguments(words));
      answer.put("ok", true);
      answer.putAll(result);
    } catch (Throwable error) {
      answer.put("ok", false);
      answer.put("error", Json.text(error));
    }
    say(answer);
  }

  private void say(Map<String, Object> answer) {
    String line = Json.write(answer);
    synchronized (out) {
      out.println(line);
      out.flush();
    }
  }
}
