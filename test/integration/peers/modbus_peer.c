/* A Modbus TCP server on libmodbus for the integration tests: prints its port, serves one client after another
 * until it is killed. Register n holds n; the first registers hold typed values (see test_modbus_peers.py). */
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REGISTERS = 1000, BITS = 3000 };

int main(void) {
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *mapping = modbus_mapping_new(BITS, BITS, REGISTERS, REGISTERS);
    if (context == NULL || mapping == NULL) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    /* libmodbus refuses port 0 in modbus_tcp_listen: bind here. */
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        perror("listen");
        return 1;
    }
    for (int i = 0; i < REGISTERS; i++) {
        mapping->tab_registers[i] = (uint16_t)i;
        mapping->tab_input_registers[i] = (uint16_t)(60000 + i);
    }
    for (int i = 0; i < BITS; i++) {
        mapping->tab_bits[i] = i % 3 == 0;
        mapping->tab_input_bits[i] = i % 7 == 0;
    }
    /* 123.5 is 42F70000H. Written out: the float helpers of libmodbus 3.1.6 exchange the bytes of a register
     * compared with what their names say. */
    static const uint16_t floats[8] = {0x42F7, 0, 0xF742, 0, 0, 0x42F7, 0, 0xF742};
    for (int i = 0; i < 8; i++) {
        mapping->tab_registers[i] = floats[i];
    }
    volatile int32_t wide = -100000; /* volatile: no warning about the narrowing of a constant */
    volatile int64_t wider = -5000000000LL;
    MODBUS_SET_INT32_TO_INT16(mapping->tab_registers, 8, wide);
    MODBUS_SET_INT64_TO_INT16(mapping->tab_registers, 10, wider);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        if (modbus_tcp_accept(context, &listener) < 0) {
            return 1;
        }
        for (;;) {
            int length = modbus_receive(context, query);
            if (length < 0) {
                break;
            }
            if (length > 0 && modbus_reply(context, query, length, mapping) < 0 && errno == ECONNRESET) {
                break;
            }
        }
        modbus_close(context);
    }
}
