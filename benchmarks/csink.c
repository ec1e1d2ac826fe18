/* csink: an SMTP sink that is faster than every client, for benchmarks on loopback only.
 * epoll, one thread; PIPELINING, CHUNKING (BDAT), 8BITMIME, SMTPUTF8; no queue, nothing is checked.
 * Build: cc -O2 -o csink csink.c -lssl -lcrypto
 * Usage: csink PORT [-d delay_us] [-n quit_after_messages] [-o dump_file] [-k dump_every] [-P] [-B] [-T certificate -K key]
 * -d delays the answers to each packet (a round trip of that length); -P: no PIPELINING; -B: no CHUNKING;
 * -T, -K: TLS from the start (PEM). On SIGTERM, SIGINT or after -n messages it prints one line of JSON:
 * "distinct" counts the recipients that got at least one, "last" is the last dot's moment (CLOCK_MONOTONIC).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
static SSL_CTX*ctx;

enum { CMD, DATA, BDAT };
struct conn { SSL*ssl; int hs; int fd, state, inmsg, last, closing; long need; char line[4096]; int ll; char tail[5]; int tl;
  char out[65536]; int ol; char *cap; size_t capl, capz; unsigned long who; };
static long nmsg, nbytes, nconn, naccept, nreads, nrcpt, maxconn, curconn; static volatile sig_atomic_t stop;
static long delay_us, quit_after; static FILE *dump; static long dump_every = 1; static int nopipe, nochunk;
static int ep;
static double now(void){ struct timespec t; clock_gettime(CLOCK_MONOTONIC,&t); return t.tv_sec+t.tv_nsec*1e-9; }
static double t_first, t_last;
struct pend { double due; struct conn *c; int n; char *buf; struct pend *next; } *ph, *pt;
static void onsig(int s){ stop=1; }
static void reply(struct conn*c,const char*s){ int n=strlen(s); if(c->ol+n<(int)sizeof c->out){ memcpy(c->out+c->ol,s,n); c->ol+=n; } }
static void cap(struct conn*c,const char*p,size_t n){ if(!dump|| (nmsg%dump_every)) return;
  if(c->capl+n>c->capz){ c->capz=(c->capl+n)*2; c->cap=realloc(c->cap,c->capz);} memcpy(c->cap+c->capl,p,n); c->capl+=n; }
/* a set of 64-bit hashes: whoever got a message; 0 is an empty place */
static unsigned long *got; static size_t ngot, room;
static void keep(unsigned long h){ size_t i=h&(room-1); while(got[i]&&got[i]!=h) i=(i+1)&(room-1); if(!got[i]){ got[i]=h; ngot++; } }
static void note(unsigned long h){ if(2*ngot>=room){ unsigned long*old=got; size_t n=room; room=n?2*n:1<<16; got=calloc(room,sizeof*got); ngot=0; for(size_t i=0;i<n;i++) if(old[i]) keep(old[i]); free(old); } keep(h); }
static unsigned long hash(const char*p){ unsigned long h=14695981039346656037UL; for(;*p;p++) h=(h^(unsigned char)*p)*1099511628211UL; return h?h:1; }
static void done(struct conn*c,int dot){ if(dump && nmsg%dump_every==0){ size_t n=c->capl; fprintf(dump,"\n=====MSG %zu %d\n",n,dot); fwrite(c->cap,1,n,dump); }
  c->capl=0; nmsg++; note(c->who); t_last=now(); reply(c,"250 2.0.0 Ok: queued as ABCDEF012345\r\n"); if(quit_after&&nmsg>=quit_after) stop=1; }
static void cmd(struct conn*c){ char*l=c->line; 
  if(!strncasecmp(l,"MAIL",4)){ if(dump&&nmsg%dump_every==0){cap(c,l,c->ll);cap(c,"\r\n",2);} reply(c,"250 2.1.0 Ok\r\n"); if(!t_first)t_first=now(); }
  else if(!strncasecmp(l,"RCPT",4)){ nrcpt++; c->who=hash(l); if(dump&&nmsg%dump_every==0){cap(c,l,c->ll);cap(c,"\r\n",2);} reply(c,"250 2.1.5 Ok\r\n"); }
  else if(!strncasecmp(l,"DATA",4)){ reply(c,"354 End data with <CR><LF>.<CR><LF>\r\n"); c->state=DATA; memcpy(c->tail,"\r\n",2); c->tl=2; }
  else if(!strncasecmp(l,"BDAT",4)){ char*e; c->need=strtol(l+4,&e,10); c->last=strcasestr(e,"LAST")!=NULL; c->state=BDAT; }
  else if(!strncasecmp(l,"EHLO",4)){ reply(c,"250-csink\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"); if(!nopipe)reply(c,"250-PIPELINING\r\n"); if(!nochunk)reply(c,"250-CHUNKING\r\n"); reply(c,"250 ENHANCEDSTATUSCODES\r\n"); }
  else if(!strncasecmp(l,"HELO",4)) reply(c,"250 csink\r\n");
  else if(!strncasecmp(l,"QUIT",4)){ reply(c,"221 2.0.0 Bye\r\n"); c->closing=1; }
  else if(!strncasecmp(l,"RSET",4)||!strncasecmp(l,"NOOP",4)) reply(c,"250 2.0.0 Ok\r\n");
  else reply(c,"500 5.5.2 unknown\r\n"); }
static void feed(struct conn*c,char*p,size_t n){ 
  while(n){ 
    if(c->state==CMD){ char*nl=memchr(p,'\n',n); size_t k=nl?(size_t)(nl-p+1):n; if(c->ll+k<sizeof c->line-1){memcpy(c->line+c->ll,p,k);c->ll+=k;} p+=k;n-=k;
      if(nl){ while(c->ll&&(c->line[c->ll-1]=='\n'||c->line[c->ll-1]=='\r'))c->ll--; c->line[c->ll]=0; 
        cmd(c); c->ll=0; if(c->state==BDAT&&c->need==0){ c->state=CMD; if(c->last)done(c,0); else reply(c,"250 2.0.0 chunk\r\n"); } } }
    else if(c->state==BDAT){ size_t k=n<(size_t)c->need?n:(size_t)c->need; cap(c,p,k); nbytes+=k; p+=k;n-=k;c->need-=k; if(!c->need){ c->state=CMD; if(c->last)done(c,0); else reply(c,"250 2.0.0 chunk\r\n"); } }
    else { /* DATA: find \r\n.\r\n, possibly spanning */
      int hit=0; size_t used=n;
      /* join tail (<=4 bytes) with first 4 bytes */
      char b[9]; int tl=c->tl; memcpy(b,c->tail,tl); int m=n<4?n:4; memcpy(b+tl,p,m); char*q=memmem(b,tl+m,"\r\n.\r\n",5);
      if(q){ hit=1; used=(q-b)+5-tl; }
      else { q=memmem(p,n,"\r\n.\r\n",5); if(q){hit=1; used=q-p+5;} }
      cap(c,p,used); nbytes+=used;
      if(hit){ c->state=CMD; p+=used;n-=used; c->tl=0; done(c,1); }
      else { if(n>=4){ memcpy(c->tail,p+n-4,4); c->tl=4; } else { char t[8]; memcpy(t,c->tail,c->tl); memcpy(t+c->tl,p,n); int L=c->tl+n; int keep=L>4?4:L; memcpy(c->tail,t+L-keep,keep); c->tl=keep; } p+=n;n=0; }
    } } }
static void flushc(struct conn*c){ if(!c->ol) return;
  if(delay_us){ struct pend*x=malloc(sizeof*x); x->due=now()+delay_us*1e-6; x->c=c; x->n=c->ol; x->buf=malloc(c->ol+1); memcpy(x->buf,c->out,c->ol); x->buf[c->ol]=c->closing; x->next=0; if(pt)pt->next=x; else ph=x; pt=x; c->ol=0; }
  else { if(c->ssl){ if(SSL_write(c->ssl,c->out,c->ol)<0){} } else if(write(c->fd,c->out,c->ol)<0){} c->ol=0; } }
static void closec(struct conn*c){ if(c->ssl) SSL_free(c->ssl); epoll_ctl(ep,EPOLL_CTL_DEL,c->fd,0); close(c->fd); free(c->cap); if(!delay_us) free(c); curconn--; }
int main(int ac,char**av){ int port=atoi(av[1]),o; optind=2; while((o=getopt(ac,av,"d:n:o:k:PBT:K:"))>0) switch(o){case'd':delay_us=atol(optarg);break;case'n':quit_after=atol(optarg);break;case'o':dump=fopen(optarg,"w");break;case'k':dump_every=atol(optarg);break;case'T':ctx=SSL_CTX_new(TLS_server_method());SSL_CTX_use_certificate_file(ctx,optarg,SSL_FILETYPE_PEM);break;case'K':SSL_CTX_use_PrivateKey_file(ctx,optarg,SSL_FILETYPE_PEM);break;case'P':nopipe=1;break;case'B':nochunk=1;}
  signal(SIGPIPE,SIG_IGN); struct sigaction sa={.sa_handler=onsig}; sigaction(SIGTERM,&sa,0); sigaction(SIGINT,&sa,0);
  int ls=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0),one=1; setsockopt(ls,SOL_SOCKET,SO_REUSEADDR,&one,sizeof one);
  struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port)}; inet_pton(AF_INET,"127.0.0.1",&a.sin_addr); if(bind(ls,(void*)&a,sizeof a)){perror("bind");return 1;} listen(ls,1024);
  ep=epoll_create1(0); struct epoll_event ev={.events=EPOLLIN,.data.ptr=0}; epoll_ctl(ep,EPOLL_CTL_ADD,ls,&ev);
  static char buf[1<<20]; struct epoll_event evs[256];
  while(!stop){ int to=-1; if(ph){ double w=(ph->due-now())*1000; to=w<=0?0:(int)w; if(w>0&&w<1) to=0; }
    int n=epoll_wait(ep,evs,256,to); 
    for(int i=0;i<n;i++){ struct conn*c=evs[i].data.ptr; 
      if(!c){ int fd; while((fd=accept4(ls,0,0,SOCK_NONBLOCK))>=0){ setsockopt(fd,IPPROTO_TCP,TCP_NODELAY,&one,sizeof one); c=calloc(1,sizeof*c); c->fd=fd; naccept++; curconn++; if(curconn>maxconn)maxconn=curconn; ev.events=EPOLLIN; ev.data.ptr=c; epoll_ctl(ep,EPOLL_CTL_ADD,fd,&ev); if(ctx){c->ssl=SSL_new(ctx);SSL_set_fd(c->ssl,fd);SSL_set_accept_state(c->ssl);} else { reply(c,"220 csink ESMTP\r\n"); flushc(c);} } continue; }
      if(c->ssl){ if(!c->hs){ int h=SSL_accept(c->ssl); if(h<=0){ int er=SSL_get_error(c->ssl,h); if(er!=SSL_ERROR_WANT_READ&&er!=SSL_ERROR_WANT_WRITE) closec(c); continue; } c->hs=1; reply(c,"220 csink ESMTP\r\n"); flushc(c); }
        int r,dead=0; size_t have=0; while(have<sizeof buf-16384&&(r=SSL_read(c->ssl,buf+have,16384))>0) have+=r; 
        if(have<sizeof buf-16384){ int er=SSL_get_error(c->ssl,r); if(er!=SSL_ERROR_WANT_READ) dead=1; }
        nreads++; if(have) feed(c,buf,have); int cl=c->closing; if(!dead) flushc(c); if(cl||dead) closec(c); continue; }
      ssize_t r=read(c->fd,buf,sizeof buf); nreads++; if(r<=0){ if(r<0&&(errno==EAGAIN||errno==EINTR))continue; closec(c); continue; }
      feed(c,buf,r); int cl=c->closing; flushc(c); if(cl&&!delay_us) closec(c); }
    if(ph){ double t=now(); while(ph&&ph->due<=t){ struct pend*x=ph; ph=x->next; if(!ph)pt=0; if(write(x->c->fd,x->buf,x->n)<0){} if(x->buf[x->n]) closec(x->c); free(x->buf); free(x);} } }
  struct rusage ru; getrusage(RUSAGE_SELF,&ru); double u=ru.ru_utime.tv_sec+ru.ru_utime.tv_usec*1e-6, s=ru.ru_stime.tv_sec+ru.ru_stime.tv_usec*1e-6, w=t_last-t_first;
  if(dump)fclose(dump);
  printf("{\"msgs\":%ld,\"rcpts\":%ld,\"bytes\":%ld,\"conns\":%ld,\"maxconn\":%ld,\"reads\":%ld,\"wall\":%.3f,\"rate\":%.0f,\"sink_user\":%.3f,\"sink_sys\":%.3f,\"sink_us_per_msg\":%.1f,\"distinct\":%zu,\"last\":%.6f}\n",nmsg,nrcpt,nbytes,naccept,maxconn,nreads,w,w>0?nmsg/w:0,u,s,nmsg?(u+s)/nmsg*1e6:0,ngot,t_last); return 0; }
