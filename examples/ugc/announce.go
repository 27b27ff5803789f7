package main

import "fmt"

// announce tells a newcomer what to do.
func (p *platform) announce() {
	fmt.Print("\nSluice is running.\n\n")
	if p.server != nil {
		p.announcePublish()
	} else {
		fmt.Printf("  Streams  come from other servers, to http://127.0.0.1:%d/m4s/NAME\n", port(p.site))
	}
	if p.playback != nil {
		p.announceWatch()
	}
	fmt.Print("\nCtrl-C stops it.\n\n")
}

// announcePublish names the ways in that are open.
func (p *platform) announcePublish() {
	if addr := p.server.RTMPAddr(); addr != nil {
		fmt.Printf(`  Publish  OBS: Settings, Stream, Service "Custom"
           Server      rtmp://127.0.0.1:%[1]d/live
           Stream key  demo (any name: it becomes the channel)
           or: ffmpeg -re -i clip.mp4 -c copy -f flv rtmp://127.0.0.1:%[1]d/live/demo
`, port(addr))
	}
	if addr := p.server.RTMPSAddr(); addr != nil {
		fmt.Printf("           over TLS: rtmps://YOUR.HOST:%d/live\n", port(addr))
	}
	if p.server.SRTAddr() != nil {
		fmt.Printf("           over SRT: ffmpeg -re -i clip.mp4 -c copy -f mpegts 'srt://127.0.0.1:%d?streamid=publish:demo'\n", p.srtPort())
	}
	if p.server.RTC != "" {
		fmt.Printf("           from a browser: http://127.0.0.1:%d/creator\n", port(p.site))
	}
}

// announceWatch names the ways to watch.
func (p *platform) announceWatch() {
	fmt.Printf(`  Watch    http://127.0.0.1:%[1]d/@demo      all channels: http://127.0.0.1:%[1]d/
           HLS   http://127.0.0.1:%[1]d/live/demo/index.m3u8
`, port(p.site))
	if p.server == nil {
		return
	}
	if addr := p.server.RTMPAddr(); addr != nil {
		fmt.Printf("           RTMP  rtmp://127.0.0.1:%d/play/demo\n", port(addr))
	}
	if p.server.SRTAddr() != nil {
		fmt.Printf("           SRT   srt://127.0.0.1:%d?streamid=#!::m=request,r=demo\n", p.srtPort())
	}
}
