package ringrail;

/** A histogram of nanoseconds, true to a thousandth. */
final class Latencies {
  private static final int EXACT_BITS = 11;
  private static final int HALF = 1 << (EXACT_BITS - 1);

  private final long[] counts = new long[(64 - EXACT_BITS + 1) * HALF + HALF];
  private long count;

  void record(long ns) {
    counts[place(ns)]++;
    count++;
  }

  void add(Latencies other) {
    for (int at = 0; at < counts.length; at++) {
      counts[at] += other.counts[at];
    }
    count += other.count;
  }

  long count() {
    return count;
  }

  /** The smallest recorded value that this fraction of all does not exceed. */
  double quantile(double fraction) {
    long wanted = (long) Math.ceil(fraction * count);
    long seen = 0;
    for (int at = 0; at < counts.length; at++) {
      seen += counts[at];
      if (seen >= wanted && seen > 0) {
        return value(at);
      }
    }
    return 0;
  }

  private static int place(long ns) {
    int shift = Math.max(0, 64 - EXACT_BITS - Long.numberOfLeadingZeros(ns));
    return shift * HALF + (int) (ns >>> shift);
  }

  private static double value(int place) {
    if (place < 2 * HALF) {
      return place;
    }
    int shift = place / HALF - 1;
    return (double) ((long) (place - shift * HALF) << shift);
  }
}
