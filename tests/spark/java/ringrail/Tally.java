package ringrail;

import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/** How many of many requests went right, and what the first that did not said. */
final class Tally {
  private final CountDownLatch left;
  private final AtomicInteger good = new AtomicInteger();
  private final AtomicInteger bad = new AtomicInteger();
  private final AtomicReference<String> first = new AtomicReference<>();

  Tally(int count) {
    left = new CountDownLatch(count);
  }

  /** One is done; {@code error} is null if it went right. */
  void count(String error) {
    if (error == null) {
      good.incrementAndGet();
    } else {
      bad.incrementAndGet();
      first.compareAndSet(null, error);
    }
    left.countDown();
  }

  Map<String, Object> await(long seconds) throws InterruptedException {
    boolean all = left.await(seconds, TimeUnit.SECONDS);
    return Json.of(
        "good", good.get(), "bad", bad.get(), "all", all, "first_error", first.get());
  }
}
