/* What librdkafka can deliver to anybody: batches in C, nothing decoded, for each message a byte on stdout. */

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 5000, JOIN_MS = 30000 };

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s: %s\n", name, error);
        exit(1);
    }
}

static void subscribe(rd_kafka_t *consumer, int count, char **topics) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error) {
        fprintf(stderr, "%s\n", rd_kafka_err2str(error));
        exit(1);
    }
}

/* Read until nothing has come for idle_ms. One message is waited for, then what is there is taken. */
static void read_all(rd_kafka_queue_t *queue, int idle_ms) {
    static rd_kafka_message_t *messages[BATCH];
    int patience = JOIN_MS;
    for (;;) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, patience, messages, 1);
        if (count < 1) return;
        ssize_t more = rd_kafka_consume_batch_queue(queue, 0, messages + 1, BATCH - 1);
        count += more > 0 ? more : 0;
        for (ssize_t i = 0; i < count; i++) {
            if (!messages[i]->err) putchar_unlocked('.');
            rd_kafka_message_destroy(messages[i]);
        }
        patience = idle_ms;
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: ceiling BOOTSTRAP GROUP IDLE_S TOPIC...\n");
        return 4;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "group.id", argv[2]);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "fetch.wait.max.ms", "100");
    set(conf, "fetch.queue.backoff.ms", "20");
    char error[512];
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (!consumer) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    rd_kafka_poll_set_consumer(consumer);
    subscribe(consumer, argc - 4, argv + 4);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    read_all(queue, atoi(argv[3]) * 1000);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return 0;
}
