// The yardstick: the smallest honest durable transfer. It is held beside two nodes in interleaved runs; it is no design.
// Physical-limit reference: durable store -> mTLS 1.3 (AES-256-GCM) -> durable store -> ack -> durable delete.
//   limit recv PORT DBDIR BATCH [nosync]
//   limit send PORT DBDIR BATCH N BODY RATE(0=max) [nosync]
// Sender: store thread does ONE LMDB write txn per group: {delete everything acked, put <=BATCH new}, commit (fdatasync).
//         net thread sends only committed messages and reads cumulative acks.
// Receiver: reader thread TLS->slots; committer takes <=BATCH pending, one durable LMDB txn, then cumulative ack.
// Sequence-number dedupe cursor is written in the same receiver txn.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/err.h>
#include <lmdb.h>
static const char*CERTS="."; // folder of the test certificates, from the environment
#define CK(x) do{int r_=(x);if(r_){fprintf(stderr,"%s:%d %s: %s\n",__FILE__,__LINE__,#x,mdb_strerror(r_));exit(1);}}while(0)
#define DIE(...) do{fprintf(stderr,__VA_ARGS__);fprintf(stderr,"\n");ERR_print_errors_fp(stderr);exit(1);}while(0)
static int64_t nowns(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1000000000LL+t.tv_nsec;}
static int cmpi(const void*a,const void*b){int64_t x=*(int64_t*)a,y=*(int64_t*)b;return x<y?-1:x>y;}
static void pct(const char*name,int64_t*l,size_t n){if(!n)return;qsort(l,n,8,cmpi);
  printf("%s n=%zu p50=%.2fms p90=%.2fms p99=%.2fms max=%.2fms\n",name,n,l[n/2]/1e6,l[n*9/10]/1e6,l[n*99/100]/1e6,l[n-1]/1e6);}
typedef struct{uint32_t len;uint32_t pad;uint64_t seq;int64_t ts;} hdr; // 24 bytes on the wire
typedef struct{MDB_env*e;MDB_dbi box,meta;} store;
static store st_open(const char*dir,int nosync){store s;MDB_txn*t;mkdir(dir,0700);CK(mdb_env_create(&s.e));CK(mdb_env_set_maxdbs(s.e,2));
  CK(mdb_env_set_mapsize(s.e,6UL<<30));CK(mdb_env_open(s.e,dir,nosync?MDB_NOSYNC:0,0600));CK(mdb_txn_begin(s.e,0,0,&t));
  CK(mdb_dbi_open(t,"box",MDB_CREATE|MDB_INTEGERKEY,&s.box));CK(mdb_dbi_open(t,"meta",MDB_CREATE|MDB_INTEGERKEY,&s.meta));CK(mdb_txn_commit(t));return s;}
static SSL_CTX*mkctx(int server,const char*who){SSL_CTX*c=SSL_CTX_new(server?TLS_server_method():TLS_client_method());char p[256];
  SSL_CTX_set_min_proto_version(c,TLS1_3_VERSION);SSL_CTX_set_ciphersuites(c,"TLS_AES_256_GCM_SHA384");
  snprintf(p,256,"%s/%s.pem",CERTS,who);if(SSL_CTX_use_certificate_chain_file(c,p)!=1)DIE("cert");
  snprintf(p,256,"%s/%s.key",CERTS,who);if(SSL_CTX_use_PrivateKey_file(c,p,SSL_FILETYPE_PEM)!=1)DIE("key");
  snprintf(p,256,"%s/ca.pem",CERTS);if(SSL_CTX_load_verify_locations(c,p,0)!=1)DIE("ca");
  SSL_CTX_set_verify(c,SSL_VERIFY_PEER|SSL_VERIFY_FAIL_IF_NO_PEER_CERT,0);SSL_CTX_set_session_cache_mode(c,SSL_SESS_CACHE_OFF);SSL_CTX_set_num_tickets(c,0);
  SSL_CTX_set_mode(c,SSL_MODE_ENABLE_PARTIAL_WRITE|SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);SSL_CTX_set_read_ahead(c,1);return c;}
static void cpu(const char*w){struct rusage r;getrusage(RUSAGE_SELF,&r);printf("%s cpu user=%.2fs sys=%.2fs maxrss=%.1fMiB\n",w,r.ru_utime.tv_sec+r.ru_utime.tv_usec/1e6,r.ru_stime.tv_sec+r.ru_stime.tv_usec/1e6,r.ru_maxrss/1024.0);}
static SSL*ssl;static int fd,BATCH;static store S;
/* ---------------- receiver ---------------- */
static pthread_mutex_t mu=PTHREAD_MUTEX_INITIALIZER,sslmu=PTHREAD_MUTEX_INITIALIZER;static pthread_cond_t cv=PTHREAD_COND_INITIALIZER,cv2=PTHREAD_COND_INITIALIZER;
static char*slots;static size_t QN;static uint64_t qh,qt;static int eof_;static uint64_t ncommits;
#define SLOT (sizeof(hdr)+8192)
static int64_t*lat;static size_t nlat;
static void*committer(void*a){MDB_txn*t;uint64_t last=0;
  for(;;){pthread_mutex_lock(&mu);while(qh==qt&&!eof_)pthread_cond_wait(&cv,&mu);uint64_t n=qt-qh;if(!n){pthread_mutex_unlock(&mu);break;}
    if(n>(uint64_t)BATCH)n=BATCH;uint64_t h=qh;pthread_mutex_unlock(&mu);
    CK(mdb_txn_begin(S.e,0,0,&t));
    for(uint64_t i=0;i<n;i++){hdr*m=(hdr*)(slots+((h+i)%QN)*SLOT);if(m->seq<=last)continue;MDB_val K={8,&m->seq},V={m->len,m+1};CK(mdb_put(t,S.box,&K,&V,MDB_APPEND));last=m->seq;}
    uint64_t one=1;MDB_val K={8,&one},V={8,&last};CK(mdb_put(t,S.meta,&K,&V,0));
    CK(mdb_txn_commit(t));ncommits++;int64_t now=nowns();
    for(uint64_t i=0;i<n;i++){hdr*m=(hdr*)(slots+((h+i)%QN)*SLOT);lat[nlat++]=now-m->ts;}
    pthread_mutex_lock(&sslmu);for(;;){int r=SSL_write(ssl,&last,8);if(r==8)break;int e=SSL_get_error(ssl,r);pthread_mutex_unlock(&sslmu);
      if(e!=SSL_ERROR_WANT_WRITE&&e!=SSL_ERROR_WANT_READ)return 0;struct pollfd p={fd,POLLOUT,0};poll(&p,1,100);pthread_mutex_lock(&sslmu);}
    pthread_mutex_unlock(&sslmu);
    pthread_mutex_lock(&mu);qh+=n;pthread_cond_signal(&cv2);pthread_mutex_unlock(&mu);}
  return 0;}
static int do_recv(int port,const char*dir,int nosync){S=st_open(dir,nosync);SSL_CTX*c=mkctx(1,"central");int l=socket(AF_INET,SOCK_STREAM,0),o=1;
  setsockopt(l,SOL_SOCKET,SO_REUSEADDR,&o,4);struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port),.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};
  if(bind(l,(void*)&a,sizeof a)||listen(l,8))DIE("bind %s",strerror(errno));alarm(120);fd=accept(l,0,0);close(l);setsockopt(fd,6,TCP_NODELAY,&o,4);
  ssl=SSL_new(c);SSL_set_fd(ssl,fd);if(SSL_accept(ssl)!=1)DIE("accept");fcntl(fd,F_SETFL,O_NONBLOCK);
  QN=BATCH*4<256?256:BATCH*4;slots=malloc(QN*SLOT);lat=malloc(8*2000000);pthread_t th;pthread_create(&th,0,committer,0);
  size_t cap=1<<18,have=0;char*buf=malloc(cap);
  for(;;){pthread_mutex_lock(&sslmu);int r=SSL_read(ssl,buf+have,cap-have),e=r<=0?SSL_get_error(ssl,r):0;pthread_mutex_unlock(&sslmu);
    if(r<=0){if(e==SSL_ERROR_WANT_READ){struct pollfd p={fd,POLLIN,0};poll(&p,1,1000);continue;}break;}
    have+=r;size_t off=0;uint64_t pushed=0;
    while(have-off>=sizeof(hdr)){hdr h;memcpy(&h,buf+off,sizeof h);if(h.len>8192)DIE("len");if(have-off<sizeof h+h.len)break;
      pthread_mutex_lock(&mu);while(qt-qh+pushed>=QN){qt+=pushed;pushed=0;pthread_cond_signal(&cv);pthread_cond_wait(&cv2,&mu);}
      pthread_mutex_unlock(&mu);
      memcpy(slots+((qt+pushed)%QN)*SLOT,buf+off,sizeof h+h.len);pushed++;off+=sizeof h+h.len;}
    if(pushed){pthread_mutex_lock(&mu);qt+=pushed;pthread_cond_signal(&cv);pthread_mutex_unlock(&mu);}
    memmove(buf,buf+off,have-off);have-=off;}
  pthread_mutex_lock(&mu);eof_=1;pthread_cond_signal(&cv);pthread_mutex_unlock(&mu);pthread_join(th,0);
  MDB_stat ms;MDB_txn*t;mdb_txn_begin(S.e,0,MDB_RDONLY,&t);mdb_stat(t,S.box,&ms);mdb_txn_abort(t);
  printf("recv stored=%zu commits=%lu avg_batch=%.1f cipher=%s %s\n",ms.ms_entries,ncommits,(double)nlat/ncommits,SSL_get_version(ssl),SSL_get_cipher(ssl));
  pct("recv latency submit->durable-at-receiver",lat,nlat);cpu("recv");mdb_env_close(S.e);return 0;}
/* ---------------- sender ---------------- */
static _Atomic uint64_t committed,acked;static uint64_t N;static int body,rate;static int efd,afd;static int64_t*ts,*tack;static char tmpl[8192];
static void*net(void*a){uint64_t sent=0,ak=0;size_t cap=1<<17,len=0,off=0;char*out=malloc(cap);char ab[4096];size_t ah=0;
  while(ak<N){
    for(;;){ // fill+write
      if(off==len){off=len=0;uint64_t c=atomic_load(&committed);while(sent<c&&len+sizeof(hdr)+body<=cap){sent++;hdr h={body,0,sent,ts[sent]};memcpy(out+len,&h,sizeof h);memcpy(out+len+sizeof h,tmpl,body);memcpy(out+len+sizeof h,&sent,8);len+=sizeof h+body;}
        if(!len)break;}
      int r=SSL_write(ssl,out+off,len-off);if(r>0){off+=r;continue;}int e=SSL_get_error(ssl,r);if(e==SSL_ERROR_WANT_WRITE||e==SSL_ERROR_WANT_READ)break;DIE("write");}
    uint64_t before=ak;
    for(;;){int r=SSL_read(ssl,ab+ah,sizeof ab-ah);if(r<=0){int e=SSL_get_error(ssl,r);if(e==SSL_ERROR_WANT_READ)break;DIE("read err %d",e);}
      ah+=r;size_t o=0;for(;ah-o>=8;o+=8)memcpy(&ak,ab+o,8);memmove(ab,ab+o,ah-o);ah-=o;}
    if(ak!=before){int64_t n=nowns();for(uint64_t s=before+1;s<=ak;s++)tack[s]=n;atomic_store(&acked,ak);uint64_t one=1;if(write(afd,&one,8)!=8)DIE("ev");if(ak>=N)break;}
    struct pollfd p[2]={{fd,POLLIN|(off<len?POLLOUT:0),0},{efd,POLLIN,0}};
    if(atomic_load(&committed)==sent||off<len)poll(p,2,1000);uint64_t d;if(p[1].revents&POLLIN){ssize_t q=read(efd,&d,8);(void)q;}}
  return 0;}
static int do_send(int port,const char*dir,int nosync){S=st_open(dir,nosync);SSL_CTX*c=mkctx(0,"region");int o=1;alarm(120);
  struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port),.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};
  for(int i=0;;i++){fd=socket(AF_INET,SOCK_STREAM,0);if(!connect(fd,(void*)&a,sizeof a))break;close(fd);if(i>100)DIE("connect");usleep(20000);}
  setsockopt(fd,6,TCP_NODELAY,&o,4);ssl=SSL_new(c);SSL_set_fd(ssl,fd);SSL_set1_host(ssl,"localhost");if(SSL_connect(ssl)!=1)DIE("connect tls");fcntl(fd,F_SETFL,O_NONBLOCK);
  efd=eventfd(0,EFD_NONBLOCK);afd=eventfd(0,EFD_NONBLOCK);ts=calloc(N+2,8);tack=calloc(N+2,8);int64_t*tst=calloc(N+2,8);for(int i=0;i<8192;i++)tmpl[i]=rand();
  uint64_t W=BATCH*4<256?256:BATCH*4;if(W>4096)W=4096;pthread_t th;int64_t t0=nowns();pthread_create(&th,0,net,0);
  uint64_t put=0,deleted=0,txns=0;MDB_txn*t;char b[8192];memcpy(b,tmpl,8192);
  while(deleted<N){uint64_t ak=atomic_load(&acked),can=N-put;
    if(rate){uint64_t due=(uint64_t)((nowns()-t0)*(double)rate/1e9)+1;if(due>N)due=N;can=due>put?due-put:0;}
    if(put-ak>=W)can=0;else if(can>W-(put-ak))can=W-(put-ak);if(can>(uint64_t)BATCH)can=BATCH;
    // group policy: in max mode do not commit a delete-only txn unless a batch worth is acked or nothing more to put
    if(!can&&!(ak>deleted&&(put==N?ak==N:0))){
      int to=1000;if(rate&&put<N){int64_t next=t0+(int64_t)(put*1e9/rate),d=next-nowns();if(d>0){struct timespec q={d/1000000000,d%1000000000};nanosleep(&q,0);}continue;}
      struct pollfd p={afd,POLLIN,0};poll(&p,1,to);uint64_t d;ssize_t q=read(afd,&d,8);(void)q;continue;}
    CK(mdb_txn_begin(S.e,0,0,&t));
    if(ak>deleted){MDB_cursor*cu;MDB_val K,V;CK(mdb_cursor_open(t,S.box,&cu));while(deleted<ak){CK(mdb_cursor_get(cu,&K,&V,MDB_FIRST));if(*(uint64_t*)K.mv_data!=deleted+1)DIE("key");CK(mdb_cursor_del(cu,0));deleted++;}mdb_cursor_close(cu);}
    int64_t now=nowns();
    for(uint64_t i=0;i<can;i++){uint64_t s=++put;ts[s]=rate?t0+(int64_t)((s-1)*1e9/rate):now;memcpy(b,&s,8);MDB_val K={8,&s},V={body,b};CK(mdb_put(t,S.box,&K,&V,MDB_APPEND));}
    CK(mdb_txn_commit(t));txns++;if(can){int64_t e=nowns();for(uint64_t i=0;i<can;i++)tst[put-i]=e-ts[put-i];atomic_store(&committed,put);uint64_t one=1;if(write(efd,&one,8)!=8)DIE("ev");}}
  double T=(nowns()-t0)/1e9;pthread_join(th,0);SSL_shutdown(ssl);close(fd);
  printf("RESULT batch=%d body=%d N=%lu rate=%d sync=%d secs=%.2f msgs/s=%.0f MB/s=%.1f sender_txns=%lu\n",BATCH,body,N,rate,!nosync,T,N/T,N/T*body/1e6,txns);
  for(uint64_t s=1;s<=N;s++)tack[s]-=ts[s];pct("send latency submit->durable-at-sender",tst+1,N);pct("send latency submit->ack-back",tack+1,N);cpu("send");mdb_env_close(S.e);return 0;}
int main(int c,char**v){if(c<5)return 2;setvbuf(stdout,0,_IOLBF,0);BATCH=atoi(v[4]);if(getenv("CERTS"))CERTS=getenv("CERTS");
  if(!strcmp(v[1],"recv"))return do_recv(atoi(v[2]),v[3],c>5&&!strcmp(v[5],"nosync"));
  N=strtoul(v[5],0,0);body=atoi(v[6]);rate=atoi(v[7]);return do_send(atoi(v[2]),v[3],c>8&&!strcmp(v[8],"nosync"));}
