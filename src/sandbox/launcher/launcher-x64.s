# The launcher on x86-64: works through a list of system calls. See launcher.ts for the layout of records.
# as launcher-x64.s -o l.o && objcopy -O binary -j .text l.o l.bin && xxd -p l.bin
        .set    DATA, 0x10000000
        .set    RECORDS, DATA + 64
        .text
        mov     $RECORDS, %ebx
next:   mov     (%rbx), %rcx
        cmp     $2, %ecx
        je      reap
        mov     8(%rbx), %rax
        mov     16(%rbx), %rdi
        mov     24(%rbx), %rsi
        mov     32(%rbx), %rdx
        mov     40(%rbx), %r10
        mov     48(%rbx), %r8
        mov     56(%rbx), %r9
        syscall
        cmpq    $1, (%rbx)
        je      forked
        mov     64(%rbx), %rcx
        cmp     $1, %ecx
        je      ahead
        cmp     $2, %ecx
        jne     sign
        cmp     72(%rbx), %rax
        jne     fail
ahead:  add     $80, %rbx
        jmp     next
sign:   cmp     $-4095, %rax
        jae     fail
        jmp     ahead
forked: cmp     $-4095, %rax
        jae     fail
        test    %rax, %rax
        jz      ahead
        mov     %rax, %r12
        mov     72(%rbx), %rbx
        jmp     next
reap:   mov     $61, %eax
        mov     $-1, %rdi
        mov     $(DATA + 16), %esi
        mov     $0x40000000, %edx
        xor     %r10d, %r10d
        syscall
        cmp     $-4, %rax
        je      reap
        cmp     $-4095, %rax
        jae     fail
        cmp     %r12, %rax
        jne     reap
        mov     $1, %eax
        mov     16(%rbx), %rdi
        mov     $(DATA + 16), %esi
        mov     $4, %edx
        syscall
        mov     (DATA + 16), %edi
        mov     %edi, %eax
        shr     $8, %edi
        and     $0x7f, %eax
        jz      leave
        lea     128(%rax), %edi
leave:  and     $255, %edi
        mov     $231, %eax
        syscall
fail:   mov     %rax, (DATA)
        mov     %rbx, (DATA + 8)
        mov     $1, %eax
        mov     (DATA + 24), %rdi
        mov     $DATA, %esi
        mov     $16, %edx
        syscall
        mov     $125, %edi
        jmp     leave
