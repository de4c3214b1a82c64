/* A line server: reads its port and greeting from a file and answers every connection with the greeting. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int port = 9000;
static char greeting[256] = "hello";

static int read_config(const char *path) {
  char line[512];
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    return -1;
  }
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "port=%d", &port) == 1) continue;
    if (strncmp(line, "greeting=", 9) == 0) snprintf(greeting, sizeof greeting, "%s", line + 9);
  }
  return fclose(file);
}

static int serve(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
  int on = 1;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (server < 0 || bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 16) < 0) {
    perror("listen");
    return 1;
  }
  for (;;) {
    int client = accept(server, NULL, NULL);
    if (client < 0) continue;
    dprintf(client, "%s\n", greeting);
    close(client);
  }
}

int main(int argc, char **argv) {
  int once = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--version") == 0) {
      puts("service 1.0");
      return 0;
    }
    if (strcmp(argv[i], "--once") == 0) once = 1;
    if (strcmp(argv[i], "--config") == 0 && i + 1 < argc && read_config(argv[++i]) != 0) return 1;
  }
  printf("port %d, uid %d: %s\n", port, (int)getuid(), greeting);
  return once ? 0 : serve();
}
