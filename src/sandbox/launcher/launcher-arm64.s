// The launcher on arm64: works through a list of system calls. See launcher.ts for the layout of records.
// as launcher-arm64.s -o l.o && objcopy -O binary -j .text l.o l.bin && xxd -p l.bin
        .set    DATA, 0x10000000
        .text
        mov     x20, #DATA
        add     x19, x20, #64
next:   ldr     x9, [x19]
        cmp     x9, #2
        b.eq    reap
        ldr     x8, [x19, #8]
        ldp     x0, x1, [x19, #16]
        ldp     x2, x3, [x19, #32]
        ldp     x4, x5, [x19, #48]
        svc     #0
        ldr     x9, [x19]
        cmp     x9, #1
        b.eq    forked
        ldp     x9, x10, [x19, #64]
        cmp     x9, #1
        b.eq    ahead
        cmp     x9, #2
        b.ne    sign
        cmp     x0, x10
        b.ne    fail
ahead:  add     x19, x19, #80
        b       next
sign:   cmn     x0, #4095
        b.hs    fail
        b       ahead
forked: cmn     x0, #4095
        b.hs    fail
        cbz     x0, ahead
        mov     x21, x0
        ldr     x19, [x19, #72]
        b       next
reap:   mov     x8, #260
        mov     x0, #-1
        add     x1, x20, #16
        mov     x2, #0x40000000
        mov     x3, #0
        svc     #0
        cmn     x0, #4
        b.eq    reap
        cmn     x0, #4095
        b.hs    fail
        cmp     x0, x21
        b.ne    reap
        mov     x8, #64
        ldr     x0, [x19, #16]
        add     x1, x20, #16
        mov     x2, #4
        svc     #0
        ldr     w9, [x20, #16]
        lsr     w0, w9, #8
        ands    w9, w9, #0x7f
        b.eq    leave
        add     w0, w9, #128
leave:  and     x0, x0, #255
        mov     x8, #94
        svc     #0
fail:   str     x0, [x20]
        str     x19, [x20, #8]
        mov     x8, #64
        ldr     x0, [x20, #24]
        mov     x1, x20
        mov     x2, #16
        svc     #0
        mov     x0, #125
        b       leave
