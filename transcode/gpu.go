package transcode

import (
	"fmt"

	"github.com/asticode/go-astiav"
)

// gpu is the memory that VAAPI encoders take their frames from. NVENC takes
// them from ours.
type gpu struct {
	device *astiav.HardwareDeviceContext
	frames *astiav.HardwareFramesContext
}

func openGPU(s size) (_ *gpu, err error) {
	g := &gpu{}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.device, err = astiav.CreateHardwareDeviceContext(astiav.HardwareDeviceTypeVAAPI, "", nil, 0); err != nil {
		return nil, fmt.Errorf("open VAAPI device: %w", err)
	}
	g.frames = astiav.AllocHardwareFramesContext(g.device)
	if g.frames == nil {
		return nil, fmt.Errorf("VAAPI frames: out of memory")
	}
	g.frames.SetHardwarePixelFormat(astiav.PixelFormatVaapi)
	g.frames.SetSoftwarePixelFormat(astiav.PixelFormatNv12)
	g.frames.SetWidth(s.w)
	g.frames.SetHeight(s.h)
	g.frames.SetInitialPoolSize(8)
	if err := g.frames.Initialize(); err != nil {
		return nil, fmt.Errorf("VAAPI frames: %w", err)
	}
	return g, nil
}

func (g *gpu) upload(f *astiav.Frame) (*astiav.Frame, error) {
	up := astiav.AllocFrame()
	err := up.AllocHardwareBuffer(g.frames)
	if err == nil {
		err = f.TransferHardwareData(up)
	}
	if err != nil {
		up.Free()
		return nil, fmt.Errorf("upload to the GPU: %w", err)
	}
	up.SetPts(f.Pts())
	up.SetPictureType(f.PictureType())
	return up, nil
}

func (g *gpu) close() {
	if g.frames != nil {
		g.frames.Free()
	}
	if g.device != nil {
		g.device.Free()
	}
}
