package ringrail;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.network.client.TransportClientBootstrap;
import org.apache.spark.network.crypto.AuthClientBootstrap;
import org.apache.spark.network.crypto.AuthServerBootstrap;
import org.apache.spark.network.sasl.SecretKeyHolder;
import org.apache.spark.network.server.TransportServerBootstrap;
import org.apache.spark.network.util.MapConfigProvider;
import org.apache.spark.network.util.TransportConf;

/**
 * Spark's configuration and authentication out of a command's arguments: {@code secret=} turns
 * authentication on, {@code app=} is the id, {@code spark.network.crypto.*} choose its kind.
 */
final class Secrets {
  private Secrets() {}

  static TransportConf conf(Arguments arguments) {
    return new TransportConf("shuffle", new MapConfigProvider(arguments.conf()));
  }

  static SecretKeyHolder holder(Arguments arguments) {
    String secret = arguments.get("secret", "");
    return new SecretKeyHolder() {
      @Override
      public String getSaslUser(String appId) {
        return "sparkSaslUser";
      }

      @Override
      public String getSecretKey(String appId) {
        return secret;
      }
    };
  }

  static List<TransportClientBootstrap> ofClient(Arguments arguments, TransportConf conf) {
    List<TransportClientBootstrap> list = new ArrayList<>();
    if (arguments.has("secret")) {
      list.add(new AuthClientBootstrap(conf, arguments.get("app", "app"), holder(arguments)));
    }
    return list;
  }

  static List<TransportServerBootstrap> ofServer(Arguments arguments, TransportConf conf) {
    List<TransportServerBootstrap> list = new ArrayList<>();
    if (arguments.has("secret")) {
      list.add(new AuthServerBootstrap(conf, holder(arguments)));
    }
    return list;
  }
}
