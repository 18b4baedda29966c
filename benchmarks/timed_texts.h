/* Everything the timed server can say to a chat request, ready to send. */
#include <stdio.h>
#include <string.h>

#define MAX_TOKENS 20000
#define USAGE "{\"prompt_tokens\":7,\"completion_tokens\":%d,\"total_tokens\":%d}"

static char token_chunk[512], last_chunks[2048], role_answer[1024], whole_answer[1 << 17];
static int token_size, last_size, role_size, whole_size;

static int add_event(char *to, const char *choice, const char *more) {
    char event[512];
    int size = sprintf(event, "data: {\"id\":\"t\",\"object\":\"chat.completion.chunk\",\"created\":1,"
                       "\"model\":\"timed\",\"choices\":[%s]%s}\n\n", choice, more);
    return sprintf(to, "%x\r\n%s\r\n", size, event);
}

static void prepare_whole(int count) {
    static char body[sizeof whole_answer - 256];
    int size = sprintf(body, "{\"id\":\"t\",\"object\":\"chat.completion\",\"created\":1,"
                       "\"model\":\"timed\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\","
                       "\"message\":{\"role\":\"assistant\",\"content\":\"");
    for (int i = 0; i < count; i++) size += sprintf(body + size, "word ");
    size += sprintf(body + size, "\"}}],\"usage\":" USAGE "}", count, count + 7);
    whole_size = sprintf(whole_answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: %d\r\n\r\n%s", size, body);
}

/* Answers of so many tokens. */
static void prepare_texts(int count) {
    char usage[128];
    int size = sprintf(role_answer, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n");
    role_size = size + add_event(role_answer + size, "{\"index\":0,\"delta\":{\"role\":\"assistant\","
                                 "\"content\":\"\"},\"finish_reason\":null}", "");
    token_size = add_event(token_chunk, "{\"index\":0,\"delta\":{\"content\":\"word \"},"
                           "\"finish_reason\":null}", "");
    memcpy(last_chunks, token_chunk, token_size);
    size = token_size;
    size += add_event(last_chunks + size, "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
    sprintf(usage, ",\"usage\":" USAGE, count, count + 7);
    size += add_event(last_chunks + size, "", usage);
    last_size = size + sprintf(last_chunks + size, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    prepare_whole(count);
}
