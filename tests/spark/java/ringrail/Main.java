package ringrail;

/**
 * A process on Spark's own network library, driven by lines on stdin.
 *
 * <p>Tests and benchmarks start it, send commands ({@link Lines} has their form) and read one line
 * of JSON for each. It ends with its stdin, so that none outlives its owner.
 */
public final class Main {
  private Main() {}

  public static void main(String[] args) throws Exception {
    Lines lines = new Lines();
    new Clients().addTo(lines);
    new Servers().addTo(lines);
    new Blocks().addTo(lines);
    new Service().addTo(lines);
    new Load().addTo(lines);
    new BlockLoad().addTo(lines);
    lines.run();
    // Netty's threads would keep the process alive.
    Runtime.getRuntime().halt(0);
  }
}
